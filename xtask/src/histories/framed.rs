//! Bodies as a store keeps them once it has framed what is old enough.

use std::ops::Range;
use std::sync::Arc;

use syncline_model::frame::{Frame, InFrame};
use syncline_store::frame::PackedFrame;
use syncline_store::{STRETCH_VERSIONS, pack_stretch};

use crate::run::Result;

#[expect(clippy::cast_possible_truncation, reason = "a stretch is short")]
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
