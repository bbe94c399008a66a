//! The window by example: each test says what is read, who does what, and what is delivered.

use std::sync::Arc;

use syncline_delivery::durable::{Consumer, Saved, Terms, Touches, Unit, Window};
use syncline_model::cursor::{Position, Tag8};
use syncline_model::ids::{Epoch, Seq};
use syncline_model::time::Timestamp;

use crate::address;

pub const TERMS: Terms = Terms {
    window: 1_000,
    ack_wait_ms: 30_000,
    deliveries_max: 5,
};

pub fn place(seq: u64) -> Position {
    Position {
        epoch: Epoch(7),
        seq: Seq(seq),
        tag: Tag8([9; 8]),
    }
}

/// Makes a unit of one letter for each context.
pub fn unit(seq: u64, contexts: &str) -> Unit {
    let touches = match contexts {
        "*" => Touches::All,
        contexts => Touches::Contexts(
            contexts
                .chars()
                .map(|c| address(&format!("task/{c}")))
                .collect(),
        ),
    };
    Unit {
        seq: Seq(seq),
        tag: Tag8([9; 8]),
        before: place(seq - 1),
        touches,
        changes: contexts.len(),
    }
}

/// Makes a window that has read a log of these contexts, from seq 1 on.
fn read(terms: Terms, log: &[&str]) -> Window {
    let mut window = Window::new(terms, &Saved::at(place(0)));
    for (seq, contexts) in (1..).zip(log) {
        window.offer(unit(seq, contexts));
        window.read_to(place(seq));
    }
    window
}

fn name(text: &str) -> Consumer {
    Arc::from(text)
}

fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1_000)
}

/// Returns what a consumer is given, as `seq` or `seq:delivery` from the second time on.
fn take(window: &mut Window, consumer: &str, max: usize, now: i64) -> String {
    window.expire(at(now));
    let taken = window.take(&name(consumer), max, at(now));
    let shown = taken.iter().map(|taken| match taken.delivery {
        1 => taken.unit.seq.to_string(),
        n => format!("{}:{n}", taken.unit.seq),
    });
    shown.collect::<Vec<_>>().join(" ")
}

fn acknowledged(window: &Window) -> u64 {
    window.acknowledged().seq.0
}

#[test]
fn what_is_read_is_given_in_order_and_acknowledged_up_to_a_place() {
    let mut window = read(TERMS, &["a", "b", "a", "c", "a"]);
    assert_eq!(take(&mut window, "x", 3, 0), "1 2 3");
    assert_eq!(take(&mut window, "x", 9, 0), "4 5");
    assert_eq!(take(&mut window, "x", 9, 0), "");
    assert_eq!(window.ack_to(&name("x"), Seq(2)), 2);
    assert_eq!(acknowledged(&window), 2);
    assert_eq!(window.ack_to(&name("x"), Seq(2)), 0);
    assert_eq!(window.ack_each(&[Seq(4)]), 1);
    assert_eq!(window.ack_each(&[Seq(4)]), 0);
    assert_eq!((acknowledged(&window), window.in_flight()), (2, 2));
    assert_eq!(window.ack_to(&name("x"), Seq(9)), 2);
    assert_eq!(acknowledged(&window), 5);
}

#[test]
fn consumers_share_the_work_and_a_context_stays_with_one_of_them() {
    let mut window = read(TERMS, &["a", "b", "a", "ab", "c", "b"]);
    assert_eq!(take(&mut window, "x", 1, 0), "1");
    assert_eq!(take(&mut window, "y", 9, 0), "2 5");
    // 4 is about both, and both are elsewhere; 6 comes after it.
    assert_eq!(take(&mut window, "x", 9, 0), "3");
    assert_eq!(window.ack_to(&name("y"), Seq(9)), 2);
    assert_eq!(take(&mut window, "y", 9, 0), "");
    assert_eq!(take(&mut window, "x", 9, 0), "4 6");
    // What another has is not acknowledged with one's own.
    assert_eq!(window.ack_to(&name("y"), Seq(9)), 0);
    assert_eq!(window.ack_to(&name("x"), Seq(9)), 4);
    assert_eq!(acknowledged(&window), 6);
}

#[test]
fn what_is_late_comes_again_with_what_follows_on_its_context() {
    let mut window = read(TERMS, &["a", "b", "a", "b", "c"]);
    assert_eq!(take(&mut window, "x", 9, 0), "1 2 3 4 5");
    assert_eq!(window.ack_each(&[Seq(3), Seq(2)]), 2);
    assert_eq!(window.extend(&name("x"), Some(Seq(5)), at(20)), 1);
    assert_eq!(take(&mut window, "y", 9, 29), "");
    // 3 was acknowledged, but it comes after 1, which comes again.
    assert_eq!(take(&mut window, "y", 9, 30), "1:2 4:2");
    assert_eq!(window.ack_each(&[Seq(3)]), 0);
    assert_eq!(take(&mut window, "y", 9, 31), "");
    assert_eq!(window.ack_each(&[Seq(1)]), 1);
    assert_eq!(take(&mut window, "y", 9, 32), "3:2");
    assert_eq!(take(&mut window, "y", 9, 50), "5:2");
    // Whoever was late may still say that it is done, until another has it.
    assert_eq!(window.ack_to(&name("x"), Seq(9)), 0);
    assert_eq!(take(&mut window, "z", 1, 99), "3:3");
    assert_eq!(window.ack_to(&name("y"), Seq(9)), 2);
    assert_eq!((acknowledged(&window), window.acked()), (2, 4));
}

#[test]
fn an_ack_behind_something_late_stands_once_that_is_done_and_counts_once() {
    let mut window = read(TERMS, &["a", "a", "a"]);
    assert_eq!(take(&mut window, "x", 9, 0), "1 2 3");
    assert_eq!(window.ack_each(&[Seq(2), Seq(3)]), 2);
    window.expire(at(30));
    // It was late, and did not go out again before it was done.
    assert_eq!(window.ack_to(&name("x"), Seq(1)), 1);
    assert_eq!((acknowledged(&window), window.acked()), (3, 3));
    assert_eq!(take(&mut window, "x", 9, 31), "");
}

#[test]
fn an_ack_of_before_says_nothing_of_what_is_put_back() {
    let mut window = read(TERMS, &["a", "b", "a"]);
    assert_eq!(take(&mut window, "x", 9, 0), "1 2 3");
    assert!(window.nack(Seq(1), at(0), "busy"));
    assert_eq!(take(&mut window, "x", 9, 0), "1:2");
    assert_eq!(window.ack_each(&[Seq(3)]), 0);
    assert_eq!(window.ack_each(&[Seq(1)]), 1);
    // It is taken, and does not fit the page.
    assert_eq!(take(&mut window, "x", 9, 0), "3:2");
    window.untake(&name("x"), &[Seq(3)]);
    assert_eq!(window.redelivered(), 1);
    assert_eq!(window.ack_each(&[Seq(3)]), 0);
    assert_eq!(take(&mut window, "x", 9, 0), "3:2");
}

#[test]
fn what_is_given_back_waits_and_so_does_what_follows_on_its_context() {
    let mut window = read(TERMS, &["a", "b", "a", "b"]);
    assert_eq!(take(&mut window, "x", 9, 0), "1 2 3 4");
    assert!(window.nack(Seq(1), at(10), "busy"));
    assert!(!window.nack(Seq(1), at(10), "busy"));
    assert!(!window.nack(Seq(9), at(10), "busy"));
    // All up to here that it has: what it gave back is not among that.
    assert_eq!(window.ack_to(&name("x"), Seq(9)), 2);
    assert_eq!(take(&mut window, "x", 9, 9), "");
    assert_eq!(window.next_due(), Some(at(10)));
    assert_eq!(take(&mut window, "x", 9, 10), "1:2");
    assert_eq!(acknowledged(&window), 0);
    assert_eq!(window.ack_each(&[Seq(1)]), 1);
    assert_eq!(take(&mut window, "x", 9, 11), "3:2");
}

#[test]
fn what_fails_too_often_is_given_up_and_what_follows_it_is_not() {
    let mut window = read(TERMS, &["a", "a", "b"]);
    for round in 0..5 {
        let now = round * 30;
        let expected = match round {
            0 => "1 2 3".to_owned(),
            n => format!("1:{}", n + 1),
        };
        assert_eq!(take(&mut window, "x", 9, now), expected);
        window.ack_each(&[Seq(3), Seq(2)]);
        assert_eq!(window.take_dead(), []);
    }
    window.expire(at(150));
    let dead = window.take_dead();
    assert_eq!(
        (dead.len(), dead[0].unit.seq, dead[0].deliveries),
        (1, Seq(1), 5)
    );
    assert_eq!(dead[0].reason, "it was not acknowledged in time");
    // 2 went out beside it once, and does so once more, however often that one failed.
    assert_eq!(take(&mut window, "x", 9, 150), "2:2");
    assert_eq!((acknowledged(&window), window.acked()), (1, 1));
}

#[test]
fn a_consumer_that_goes_away_leaves_what_it_had_to_others() {
    let mut window = read(TERMS, &["a", "b", "a"]);
    assert_eq!(take(&mut window, "x", 9, 0), "1 2 3");
    window.ack_each(&[Seq(2)]);
    window.leave(&name("x"));
    assert_eq!(take(&mut window, "y", 9, 0), "1:2");
    window.ack_each(&[Seq(1)]);
    assert_eq!(take(&mut window, "y", 9, 0), "3:2");
}

#[test]
fn a_full_window_waits_and_what_is_larger_than_it_passes_alone() {
    let terms = Terms { window: 3, ..TERMS };
    let mut window = read(terms, &["a", "b", "cdef", "g", "h"]);
    assert_eq!(take(&mut window, "x", 9, 0), "1 2");
    // Else what is small would pass the bulk for ever.
    assert_eq!(take(&mut window, "x", 9, 0), "");
    window.ack_each(&[Seq(1)]);
    assert_eq!(take(&mut window, "x", 9, 0), "");
    window.ack_each(&[Seq(2)]);
    assert_eq!(take(&mut window, "x", 1, 0), "3");
    assert_eq!(take(&mut window, "x", 9, 0), "");
    window.ack_each(&[Seq(3)]);
    assert_eq!(take(&mut window, "x", 9, 0), "4 5");
}

#[test]
fn what_is_about_everything_comes_after_all_before_it_and_before_all_after_it() {
    let mut window = read(TERMS, &["a", "*", "b"]);
    assert_eq!(take(&mut window, "x", 9, 0), "1");
    assert_eq!(take(&mut window, "y", 9, 0), "");
    window.ack_each(&[Seq(1)]);
    assert_eq!(take(&mut window, "y", 9, 0), "2");
    assert_eq!(take(&mut window, "x", 9, 0), "");
    window.ack_each(&[Seq(2)]);
    assert_eq!(take(&mut window, "x", 9, 0), "3");
}

#[test]
fn a_stuck_context_does_not_wedge_the_rest() {
    let mut window = Window::new(TERMS, &Saved::at(place(0)));
    let mut seq = 0;
    let mut others = 0;
    // 20,000 changes of a context that nobody acknowledges, and others between them.
    for _ in 0..20 {
        for n in 0..1_000 {
            seq += 1;
            assert!(window.has_room(), "at {seq}");
            let contexts = if n % 10 == 0 { "b" } else { "a" };
            window.offer(unit(seq, contexts));
            window.read_to(place(seq));
        }
        for taken in window.take(&name("x"), 2_000, at(0)) {
            if taken.unit == unit(taken.unit.seq.0, "b") {
                others += 1;
                window.ack_each(&[taken.unit.seq]);
            }
        }
    }
    assert_eq!((others, window.deferred()), (2_000, 1));
    assert!(window.held().len() < 1_000, "{}", window.held().len());
    assert_eq!(acknowledged(&window), 1);
    // What was put off is read again as its turn comes, and nothing of it is lost or doubled.
    let mut given = 0;
    let mut last = 0;
    while acknowledged(&window) < seq {
        if let Some(from) = window.begin_refill() {
            for seq in from.seq.0 + 1..=seq {
                let contexts = if (seq - 1) % 1_000 % 10 == 0 {
                    "b"
                } else {
                    "a"
                };
                if !window.refill(unit(seq, contexts)) {
                    break;
                }
            }
            window.refilled();
        }
        let taken = window.take(&name("x"), 500, at(0));
        window.ack_to(&name("x"), Seq(seq));
        for taken in taken {
            assert!(taken.unit.seq.0 > last && taken.unit == unit(taken.unit.seq.0, "a"));
            last = taken.unit.seq.0;
            given += 1;
        }
    }
    // The first was in flight all along, with those of its context that fitted beside it.
    assert!((17_000..18_000).contains(&given), "{given}");
}

/// What is saved fits one value of the store, however much waits.
#[test]
fn what_is_saved_is_small() {
    let mut window = Window::new(TERMS, &Saved::at(place(0)));
    let mut seq = 0;
    while window.has_room() {
        seq += 1;
        let mut unit = unit(seq, "a");
        unit.touches = Touches::Contexts([address(&format!("task/t{seq}"))].into());
        window.offer(unit);
        window.read_to(place(seq));
    }
    let saved = window.saved();
    let bytes = saved.to_bytes();
    assert!(bytes.len() < 32 << 10, "{} bytes", bytes.len());
    assert_eq!(Saved::from_bytes(&bytes), Some(saved));
    assert_eq!(Saved::from_bytes(&bytes[..bytes.len() - 1]), None);
    assert_eq!(Saved::from_bytes(&[]), None);
}
