//! The bytes of recent changes in other forms than the plain one: each is made once, and shared by
//! all who are to get the same.
//!
//! The plain form, which most readers get, is kept with its record. These are larger and fewer
//! (whole documents, patches from another version), so a bounded number of the newest is kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use syncline_api::Mode;
use syncline_model::cursor::Position;
use syncline_model::ids::Version;
use tokio::sync::OnceCell;

/// Bounds what is looked through for one.
const FORMS_MAX: usize = 128;
/// Bounds the memory of a workspace's forms: a thousand whole documents of 8 KiB.
const FORMS_BYTES_MAX: usize = 8 << 20;

/// What a change's body is a step from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormBase {
    /// From the version before, as it was written.
    Own,
    /// From this version.
    Version(Version),
    /// From nothing: the whole document.
    Nothing,
}

/// All that decides on the bytes of a change; whoever names the same gets the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormKey {
    /// Which record.
    pub position: Position,
    /// What is sent of it.
    pub mode: Mode,
    /// What its body is a step from.
    pub base: FormBase,
    /// With the seq, for those who may read the whole workspace.
    pub with_seq: bool,
    /// With the values before.
    pub old: bool,
}

/// A change as some readers get it, which all of them share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormBody {
    /// The wire change.
    pub text: Arc<str>,
    /// Where it has a patch: by how many bytes that is less than the document.
    pub saved: Option<usize>,
}

/// The newest forms of a workspace's changes.
#[derive(Debug, Default)]
pub struct Forms(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    forms: VecDeque<Form>,
    bytes: usize,
}

#[derive(Debug)]
struct Form {
    key: FormKey,
    cell: Arc<OnceCell<FormBody>>,
    bytes: usize,
}

impl Forms {
    /// Returns a form's body, which `make` makes if nobody did; who comes meanwhile waits for it.
    /// What is made of nothing is not kept.
    pub async fn shared<E>(
        &self,
        key: FormKey,
        make: impl Future<Output = Result<Option<FormBody>, E>>,
    ) -> Result<Option<FormBody>, E> {
        let cell = self.cell(key);
        let mut made = 0;
        let body = cell.get_or_try_init(async || match make.await {
            Ok(Some(body)) => {
                made = body.text.len();
                Ok(body)
            }
            Ok(None) => Err(None),
            Err(error) => Err(Some(error)),
        });
        let body = match body.await {
            Ok(body) => Ok(Some(body.clone())),
            Err(None) => Ok(None),
            Err(Some(error)) => Err(error),
        };
        if made > 0 {
            self.weigh(&cell, made);
        }
        body
    }

    fn cell(&self, key: FormKey) -> Arc<OnceCell<FormBody>> {
        let mut kept = self.lock();
        // Most ask for what was asked for a moment ago.
        if let Some(form) = kept.forms.iter().rev().find(|form| form.key == key) {
            return form.cell.clone();
        }
        let cell = Arc::<OnceCell<_>>::default();
        kept.forms.push_back(Form {
            key,
            cell: cell.clone(),
            bytes: 0,
        });
        kept.shrink();
        cell
    }

    /// Counts what was made, unless it has gone already.
    fn weigh(&self, cell: &Arc<OnceCell<FormBody>>, bytes: usize) {
        let mut kept = self.lock();
        let mut forms = kept.forms.iter_mut().rev();
        let Some(form) = forms.find(|form| Arc::ptr_eq(&form.cell, cell)) else {
            return;
        };
        form.bytes = bytes;
        kept.bytes += bytes;
        kept.shrink();
    }

    /// Returns how many bytes are kept.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0
            .lock()
            .expect("nothing panics while the forms are locked")
    }
}

impl Kept {
    fn shrink(&mut self) {
        while self.forms.len() > FORMS_MAX || self.bytes > FORMS_BYTES_MAX {
            let Some(oldest) = self.forms.pop_front() else {
                return;
            };
            self.bytes -= oldest.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::convert::Infallible;

    use syncline_model::cursor::Tag8;
    use syncline_model::ids::{Epoch, Seq};

    use super::*;

    fn key(seq: u64, old: bool) -> FormKey {
        FormKey {
            position: Position {
                epoch: Epoch(1),
                seq: Seq(seq),
                tag: Tag8::default(),
            },
            mode: Mode::Snapshot,
            base: FormBase::Own,
            with_seq: true,
            old,
        }
    }

    async fn get(forms: &Forms, key: FormKey, text: &str) -> Option<Arc<str>> {
        let text = text.into();
        let make = async { Ok::<_, Infallible>(Some(FormBody { text, saved: None })) };
        let body = forms.shared(key, make).await.unwrap();
        body.map(|body| body.text)
    }

    #[tokio::test]
    async fn the_same_form_is_made_once_and_another_is_its_own() {
        let forms = Forms::default();
        let first = get(&forms, key(1, false), "a").await.unwrap();
        let again = get(&forms, key(1, false), "b").await.unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        for other in [key(1, true), key(2, false)] {
            assert_eq!(get(&forms, other, "c").await.as_deref(), Some("c"));
        }
    }

    #[tokio::test]
    async fn what_fails_or_is_not_there_is_asked_for_again() {
        let forms = Forms::default();
        let none = async { Ok::<_, ()>(None) };
        assert_eq!(forms.shared(key(1, false), none).await, Ok(None));
        let failed = async { Err(()) };
        assert_eq!(forms.shared(key(1, false), failed).await, Err(()));
        assert_eq!(get(&forms, key(1, false), "a").await.as_deref(), Some("a"));
    }

    #[tokio::test]
    async fn p9_the_forms_are_bounded_in_bytes_and_number() {
        let forms = Forms::default();
        let large = "x".repeat(1 << 20);
        for seq in 0..1_000 {
            let text = if seq < 20 { large.as_str() } else { "small" };
            get(&forms, key(seq, false), text).await;
            assert!(forms.bytes() <= FORMS_BYTES_MAX);
        }
        assert_eq!(forms.lock().forms.len(), FORMS_MAX);
        assert_eq!(forms.bytes(), FORMS_MAX * "small".len());
        get(&forms, key(5_000, false), &"x".repeat(FORMS_BYTES_MAX + 1)).await;
        assert_eq!(forms.bytes(), 0);
    }
}
