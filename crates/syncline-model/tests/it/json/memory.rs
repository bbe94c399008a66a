//! What a hostile text may take in memory, counted by the test binary's allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use syncline_model::json::{Json, JsonErrorKind, Limits, Number, Object};

/// Long enough for the growth of buffers to show, short enough for an unoptimized build.
const TEXT_BYTES: usize = 1 << 20;

/// Counts what each thread holds, as chunks of the usual allocators: a header of 8 bytes,
/// multiples of 16.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static HELD_MAX: Cell<usize> = const { Cell::new(0) };
}

fn chunk(bytes: usize) -> usize {
    (bytes + 8).next_multiple_of(16).max(32)
}

fn count(add: usize, sub: usize) {
    // What another thread allocated may be freed here.
    let held = (HELD.get() + add).saturating_sub(sub);
    HELD.set(held);
    HELD_MAX.set(HELD_MAX.get().max(held));
}

#[expect(
    unsafe_code,
    reason = "an allocator that passes everything on to the system's"
)]
// SAFETY: all calls go to `System` unchanged, and counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(chunk(layout.size()), 0);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(0, chunk(layout.size()));
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // Large blocks are moved by their pages, so that old and new never exist both.
        count(chunk(bytes), chunk(layout.size()));
        unsafe { System.realloc(at, layout, bytes) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns the most bytes that were held at once while `run` ran, and its result.
fn held_max<T>(run: impl FnOnce() -> T) -> (usize, T) {
    let before = HELD.get();
    HELD_MAX.set(before);
    let result = run();
    (HELD_MAX.get() - before, result)
}

/// Reads `[part,part,…]` and bounds the bytes of memory for each byte of text.
fn check_per_byte(part: &str, bound: usize) {
    let text = format!("[{}]", vec![part; TEXT_BYTES / (part.len() + 1)].join(","));
    let (bytes, _value) = held_max(|| Json::parse(text.as_bytes(), &Limits::wire()).unwrap());
    let shown = &part[..part.len().min(20)];
    let ratio = bytes.div_ceil(text.len());
    assert!(
        ratio <= bound,
        "{shown} takes {ratio} bytes for each of its own"
    );
}

#[test]
fn p9_a_hostile_text_takes_bounded_memory() {
    for part in ["0", "-0", "1.0", "\"\"", "\"a\"", "[]", "{}"] {
        check_per_byte(part, 14);
    }
    for part in ["{\"\":0}", "{\"\":{}}", "{\"b\":0,\"a\":0}"] {
        check_per_byte(part, 14);
    }
    let flat = |n: usize| format!("\"{n:x}\":0");
    let members: Vec<String> = (0..TEXT_BYTES / 10).map(flat).collect();
    check_per_byte(&format!("{{{}}}", members.join(",")), 14);
    let nest = |open: &str, close: &str| open.repeat(64) + "0" + &close.repeat(64);
    check_per_byte(&nest("{\"\":", "}"), 14);
    // An array of one item is two blocks, and its text two bytes.
    check_per_byte("[0]", 28);
    check_per_byte(&nest("[", "]"), 41);
}

#[test]
fn a_duplicate_key_is_refused_within_the_same_memory() {
    let member = |n: usize| format!("\"{n:x}\":0");
    let members: Vec<String> = (0..TEXT_BYTES / 10).map(member).collect();
    let text = format!("{{{},\"0\":0}}", members.join(","));
    let (bytes, result) = held_max(|| Json::parse(text.as_bytes(), &Limits::wire()));
    assert!(matches!(
        result.unwrap_err().kind,
        JsonErrorKind::DuplicateKey(_)
    ));
    assert!(bytes <= 14 * text.len(), "{bytes} bytes for {}", text.len());
}

#[test]
fn values_are_small() {
    let sizes = (size_of::<Json>(), size_of::<Number>(), size_of::<Object>());
    assert_eq!(sizes, (24, 24, 16));
}
