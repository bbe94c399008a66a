//! Bodies as a store keeps them once it has framed what is old enough.

use std::ops::Range;
use std::sync::Arc;

use syncline_model::frame::{Frame, InFrame};
use syncline_store::frame::PackedFrame;
use syncline_store::{STRETCH_VERSIONS, pack_stretch};

use crate::run::Result;

const STRETCH: usize = STRETCH_VERSIONS as usize;

/// Bodies by version, and the frames of all stretches but the newest.
pub struct Framed {
    bodies: Vec<Arc<[u8]>>,
    /// Of each stretch.
    frames: Vec<Vec<PackedFrame>>,
}

impl Framed {
    /// Frames what a store would.
    pub fn of(bodies: Vec<Arc<[u8]>>) -> Framed {
        // The newest is in no frame, nor is the stretch that it is in.
        let old = bodies.len().saturating_sub(1) / STRETCH * STRETCH;
        let stretches = bodies[..old].chunks(STRETCH);
        let frames = stretches.map(|stretch| pack_stretch(stretch.iter().map(|body| &**body)));
        Framed {
            frames: frames.collect(),
            bodies,
        }
    }

    /// Returns the bytes of all bodies and frames.
    pub fn bytes(&self) -> usize {
        let alone: usize = self.bodies.iter().map(|body| body.len()).sum();
        let saved = |frame: &PackedFrame| frame.bytes_before - frame.bytes_after();
        alone - self.frames.iter().flatten().map(saved).sum::<usize>()
    }

    /// Returns the bodies at some places, opening each frame once, as a store's reader does.
    pub fn read(&self, places: Range<usize>) -> Result<Vec<Arc<[u8]>>> {
        let mut read = self.bodies[places.clone()].to_vec();
        let stretches = places.start / STRETCH..=places.end.saturating_sub(1) / STRETCH;
        for (stretch, frames) in self.frames.iter().enumerate() {
            if !stretches.contains(&stretch) {
                continue;
            }
            for packed in frames {
                let frame = Frame::unpack(&packed.bytes).map_err(|rot| rot.to_string())?;
                for text in &packed.texts {
                    let at = stretch * STRETCH + text.body;
                    let Some(body) = places.contains(&at).then(|| &mut read[at - places.start])
                    else {
                        continue;
                    };
                    let place = InFrame {
                        frame: 0,
                        index: text.index,
                        length: text.length,
                    };
                    let whole = place.body_from(&frame);
                    *body = whole.ok_or_else(|| "a frame lost a text".to_owned())?;
                }
            }
        }
        Ok(read)
    }
}

/// Temporary.
pub fn experiment(what: &str, bodies: &[Arc<[u8]>], documents: &[String]) {
    use std::io::Write as _;
    let old = bodies.len().saturating_sub(1) / STRETCH * STRETCH;
    for stretch_len in [64usize, 128, 256] {
        for level in [1, 3, 6, 9, 12, 15, 19] {
            let (mut alone, mut dict, mut plain) = (0, 0, 0);
            let begun = std::time::Instant::now();
            let mut frames = Vec::new();
            for stretch in bodies[..old].chunks(stretch_len) {
                let mut frame = Frame::default();
                for body in stretch {
                    let text = syncline_model::record::unpack(body).expect("a body");
                    if frame.push(&text).is_some() {
                        plain += body.len();
                    }
                }
                let packed = frame.pack(level).expect("packed");
                alone += packed.len() + 6 * stretch.len();
                frames.push(packed);
            }
            let took = begun.elapsed();
            let begun = std::time::Instant::now();
            for packed in &frames {
                let _ = std::hint::black_box(Frame::unpack(packed));
            }
            let unpack = begun.elapsed();
            for (n, stretch) in bodies[..old].chunks(stretch_len).enumerate() {
                let mut joined = Vec::new();
                for body in stretch {
                    let text = syncline_model::record::unpack(body).expect("a body");
                    if text.len() <= 16 << 10 && joined.len() + text.len() < 256 << 10 {
                        joined.extend_from_slice(&text);
                        joined.push(b'\n');
                    }
                }
                let dictionary = documents[n * stretch_len].as_bytes();
                let mut encoder =
                    zstd::stream::Encoder::with_ref_prefix(Vec::new(), level, dictionary)
                        .expect("e");
                encoder
                    .set_pledged_src_size(Some(joined.len() as u64))
                    .expect("e");
                encoder
                    .window_log((dictionary.len() + joined.len()).max(1 << 10).ilog2() + 1)
                    .expect("e");
                encoder.write_all(&joined).expect("e");
                dict += encoder.finish().expect("e").len() + 7 * stretch.len();
            }
            eprintln!(
                "{what} {stretch_len} level {level}: framed {} (plain {}) with dictionary {} bytes each; {:?} and {:?} a frame",
                alone / old.max(1),
                plain / old.max(1),
                dict / old.max(1),
                took / frames.len().max(1) as u32,
                unpack / frames.len().max(1) as u32
            );
        }
    }
}
