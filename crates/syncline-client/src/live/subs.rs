//! What is known of each subscription: where to resume, the count, and a bulk that is under way.

use std::collections::BTreeMap;

use syncline_api::{From, ServerMessage, Subscribe};
use syncline_model::json::Json;

use super::Event;

/// One subscription.
struct Sub {
    request: Subscribe,
    /// Everything up to here was handed over.
    cursor: Option<String>,
    /// A snapshot was asked for: its pages follow, whatever `recovered` says.
    asked_snapshot: bool,
    /// Where the log goes on after the snapshot that is under way.
    after_snapshot: Option<String>,
    /// The last count on this connection.
    n: u64,
    /// The parts of a bulk whose end has not come.
    bulk: Option<Vec<Event>>,
    /// How often in a row the node could not read it on.
    failures: u32,
}

/// All subscriptions of a connection, by id.
#[derive(Default)]
pub(crate) struct Subs(BTreeMap<String, Sub>);

/// What a message means for its reader.
pub(crate) enum Step {
    /// Hand these over.
    Events(Vec<Event>),
    /// A count is missing: say so and connect anew.
    Hole(Event),
}

impl Subs {
    pub(crate) fn add(&mut self, request: Subscribe) {
        let cursor = match &request.from {
            From::Cursor(cursor) => Some(cursor.clone()),
            _ => None,
        };
        let sub = Sub {
            asked_snapshot: request.from == From::Snapshot,
            request,
            cursor,
            after_snapshot: None,
            n: 0,
            bulk: None,
            failures: 0,
        };
        self.0.insert(sub.request.id.clone(), sub);
    }

    pub(crate) fn remove(&mut self, id: &str) {
        self.0.remove(id);
    }

    /// Returns what to send on a new connection.
    pub(crate) fn resume(&mut self) -> Vec<Subscribe> {
        self.0.values_mut().map(Sub::again).collect()
    }

    /// Counts that the node could not read a subscription on; returns how often that was before.
    pub(crate) fn fail(&mut self, id: &str) -> Option<u32> {
        let sub = self.0.get_mut(id)?;
        sub.failures = sub.failures.saturating_add(1);
        Some(sub.failures - 1)
    }

    /// Returns what to send to go on with one subscription.
    pub(crate) fn again(&mut self, id: &str) -> Option<Subscribe> {
        self.0.get_mut(id).map(Sub::again)
    }

    /// Returns what to send where the node said `reset`: the same from a snapshot.
    pub(crate) fn restart(&mut self, id: &str) -> Option<Subscribe> {
        let sub = self.0.get_mut(id)?;
        sub.cursor = None;
        sub.request.from = From::Snapshot;
        sub.asked_snapshot = true;
        sub.after_snapshot = None;
        sub.n = 0;
        sub.bulk = None;
        Some(sub.request.clone())
    }

    /// Takes note of a message.
    pub(crate) fn hear(&mut self, message: ServerMessage, json: Json) -> Step {
        use ServerMessage as M;
        let id = match &message {
            M::Subscribed { id, .. } => Some(id),
            M::Change { sub, .. }
            | M::Enter { sub, .. }
            | M::Leave { sub, .. }
            | M::Begin { sub, .. }
            | M::End { sub, .. }
            | M::Lagging { sub }
            | M::Reset { sub, .. } => Some(sub),
            M::Snapshot { sub, .. } => sub.as_ref(),
            M::Heartbeat { subs } => {
                self.heartbeat(subs);
                return Step::Events(Vec::new());
            }
            _ => None,
        };
        let Some(id) = id else {
            return Step::Events(vec![Event::Message { message, json }]);
        };
        match self.0.get_mut(id) {
            Some(sub) => sub.hear(message, json),
            // The rest of a subscription that was ended here.
            None => Step::Events(Vec::new()),
        }
    }

    fn heartbeat(&mut self, cursors: &BTreeMap<String, String>) {
        for (id, cursor) in cursors {
            // Inside a bulk or a snapshot the place is not yet safe to resume from.
            let quiet = |sub: &&mut Sub| {
                sub.bulk.is_none() && sub.after_snapshot.is_none() && sub.cursor.is_some()
            };
            if let Some(sub) = self.0.get_mut(id).filter(quiet) {
                sub.cursor = Some(cursor.clone());
            }
        }
    }
}

impl Sub {
    /// Returns what to send to go on from what was handed over.
    fn again(&mut self) -> Subscribe {
        self.n = 0;
        self.bulk = None;
        self.after_snapshot = None;
        let from = match &self.cursor {
            Some(cursor) => From::Cursor(cursor.clone()),
            None => self.request.from.clone(),
        };
        self.asked_snapshot = from == From::Snapshot;
        Subscribe {
            from,
            ..self.request.clone()
        }
    }

    fn hear(&mut self, message: ServerMessage, json: Json) -> Step {
        use ServerMessage as M;
        match &message {
            M::Change { n, .. } | M::Enter { n, .. } | M::Leave { n, .. } if *n != self.n + 1 => {
                let sub = self.request.id.clone();
                return Step::Hole(Event::Hole {
                    sub,
                    expected: self.n + 1,
                    got: *n,
                });
            }
            M::Change {
                n, change, resume, ..
            } => {
                (self.n, self.failures) = (*n, 0);
                let cursor = resume.as_ref().or(change.cursor.as_ref());
                self.advance(cursor.cloned());
            }
            M::Enter { n, cursor, .. } | M::Leave { n, cursor, .. } => {
                (self.n, self.failures) = (*n, 0);
                self.advance(cursor.clone());
            }
            M::Subscribed {
                cursor, recovered, ..
            } => {
                if *recovered && !self.asked_snapshot {
                    self.cursor = Some(cursor.clone());
                } else {
                    self.cursor = None;
                    self.request.from = From::Snapshot;
                    self.after_snapshot = Some(cursor.clone());
                }
            }
            M::Snapshot {
                last: true,
                cursor,
                reference: None,
                ..
            } => {
                let after = self.after_snapshot.take();
                self.cursor = cursor.clone().or(after);
            }
            M::Begin { .. } => self.bulk = Some(Vec::new()),
            M::End { cursor, .. } => {
                let cursor = cursor.clone();
                let mut events = self.bulk.take().unwrap_or_default();
                self.cursor = Some(cursor);
                events.push(Event::Message { message, json });
                return Step::Events(events);
            }
            _ => {}
        }
        let event = Event::Message { message, json };
        match &mut self.bulk {
            Some(parts) => {
                parts.push(event);
                Step::Events(Vec::new())
            }
            None => Step::Events(vec![event]),
        }
    }

    /// Moves the place to resume from, unless a bulk is under way.
    fn advance(&mut self, cursor: Option<String>) {
        if self.bulk.is_none() && cursor.is_some() {
            self.cursor = cursor;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use syncline_api::Scope;
    use syncline_model::json::{Limits, Pointer};

    const BULK: &str = "01996f1e-4b2a-7c3d-8e4f-5a6b7c8d9e0f";

    fn subs(from: From) -> Subs {
        let mut subs = Subs::default();
        subs.add(Subscribe {
            from,
            ..Subscribe::new("s", Scope::workspace())
        });
        subs
    }

    /// Hears a message, and returns how many events that hands over; none is a hole.
    fn hear(subs: &mut Subs, text: &str) -> Option<usize> {
        let json = Json::parse(text.as_bytes(), &Limits::default()).unwrap();
        let message = ServerMessage::read(&json, &Pointer::root()).unwrap();
        match subs.hear(message, json) {
            Step::Events(events) => Some(events.len()),
            Step::Hole(_) => None,
        }
    }

    fn leave(n: u64, cursor: Option<&str>) -> String {
        let cursor = cursor
            .map(|cursor| format!(r#","cursor":"{cursor}""#))
            .unwrap_or_default();
        format!(r#"{{"type":"leave","sub":"s","n":{n},"context":"task/a"{cursor}}}"#)
    }

    fn resumes_from(subs: &mut Subs) -> From {
        subs.resume().pop().unwrap().from
    }

    #[test]
    fn it_resumes_after_what_was_handed_over() {
        let mut subs = subs(From::Now);
        assert_eq!(resumes_from(&mut subs), From::Now);
        hear(
            &mut subs,
            r#"{"type":"subscribed","id":"s","cursor":"c0","recovered":true}"#,
        );
        assert_eq!(resumes_from(&mut subs), From::Cursor("c0".into()));
        assert_eq!(hear(&mut subs, &leave(1, Some("c1"))), Some(1));
        assert_eq!(resumes_from(&mut subs), From::Cursor("c1".into()));
        // The count begins anew on each connection.
        assert_eq!(hear(&mut subs, &leave(1, Some("c2"))), Some(1));
        hear(
            &mut subs,
            r#"{"type":"heartbeat","subs":{"s":"c9","other":"x"}}"#,
        );
        assert_eq!(resumes_from(&mut subs), From::Cursor("c9".into()));
    }

    #[test]
    fn a_count_that_is_left_out_is_a_hole() {
        let mut subs = subs(From::Now);
        assert_eq!(hear(&mut subs, &leave(1, Some("c1"))), Some(1));
        assert_eq!(hear(&mut subs, &leave(3, Some("c3"))), None);
        assert_eq!(resumes_from(&mut subs), From::Cursor("c1".into()));
    }

    #[test]
    fn half_a_bulk_is_not_handed_over() {
        let mut subs = subs(From::Now);
        hear(&mut subs, &leave(1, Some("c1")));
        let begin = format!(r#"{{"type":"begin","sub":"s","bulk":"{BULK}"}}"#);
        assert_eq!(hear(&mut subs, &begin), Some(0));
        assert_eq!(hear(&mut subs, &leave(2, None)), Some(0));
        hear(&mut subs, r#"{"type":"heartbeat","subs":{"s":"c9"}}"#);
        assert_eq!(
            resumes_from(&mut subs),
            From::Cursor("c1".into()),
            "it comes whole again"
        );
        hear(&mut subs, &begin);
        hear(&mut subs, &leave(1, None));
        hear(&mut subs, &leave(2, None));
        let end = format!(r#"{{"type":"end","sub":"s","bulk":"{BULK}","cursor":"c3"}}"#);
        assert_eq!(hear(&mut subs, &end), Some(4), "begin, two parts, end");
        assert_eq!(resumes_from(&mut subs), From::Cursor("c3".into()));
    }

    #[test]
    fn what_was_interrupted_goes_on_from_what_was_handed_over() {
        let mut subs = subs(From::Now);
        hear(&mut subs, &leave(1, Some("c1")));
        assert_eq!((subs.fail("s"), subs.fail("s")), (Some(0), Some(1)));
        let again = subs.again("s").unwrap();
        assert_eq!(again.from, From::Cursor("c1".into()));
        // The count begins anew, and so do the failures once something came.
        assert_eq!(hear(&mut subs, &leave(1, Some("c2"))), Some(1));
        assert_eq!(subs.fail("s"), Some(0));
        assert_eq!((subs.fail("x"), subs.again("x").is_none()), (None, true));
    }

    #[test]
    fn a_snapshot_that_broke_off_is_asked_for_again() {
        for recovered in [true, false] {
            let mut subs = subs(From::Snapshot);
            let subscribed = format!(
                r#"{{"type":"subscribed","id":"s","cursor":"c0","recovered":{recovered}}}"#
            );
            hear(&mut subs, &subscribed);
            hear(
                &mut subs,
                r#"{"type":"snapshot","sub":"s","contexts":[],"last":false}"#,
            );
            assert_eq!(resumes_from(&mut subs), From::Snapshot);
            hear(&mut subs, &subscribed);
            hear(
                &mut subs,
                r#"{"type":"snapshot","sub":"s","contexts":[],"last":true,"cursor":"c5"}"#,
            );
            assert_eq!(resumes_from(&mut subs), From::Cursor("c5".into()));
        }
    }

    #[test]
    fn a_cursor_that_was_not_recovered_gives_way_to_a_snapshot() {
        let mut subs = subs(From::Cursor("old".into()));
        hear(
            &mut subs,
            r#"{"type":"subscribed","id":"s","cursor":"c0","recovered":false,"reason":"epoch"}"#,
        );
        assert_eq!(resumes_from(&mut subs), From::Snapshot);
        let again = subs.restart("s").unwrap();
        assert_eq!(again.from, From::Snapshot);
        assert!(subs.restart("gone").is_none());
    }
}
