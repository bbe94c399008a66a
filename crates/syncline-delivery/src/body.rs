//! The bytes of a change for one subscription, shared with all that get the same form.

use std::sync::Arc;

use syncline_api::{ChangeView, Mode, Problem};
use syncline_engine::{Entry, FormBase, FormBody, FormKey, aside};
use syncline_merge::old_values;
use syncline_model::change::{Change, Effect};
use syncline_model::head::Head;
use syncline_model::ids::Version;
use syncline_model::json::{Json, JsonWriter};

use crate::feed::Feed;
use crate::item::Body;
use crate::sent::Form;

/// A patch that is so much longer than the document is not sent in its place.
const PATCH_MORE_MAX: usize = 256;

impl Feed {
    /// Returns the context as of the version that the change made.
    pub(crate) async fn as_of(&self, entry: &Entry) -> Result<Option<Arc<Head>>, Problem> {
        let change = &entry.change;
        let line = change.line();
        if let Some(head) = self.workspace.head_if_any(&line).await?
            && head.version == change.version
            && head.change == change.id
        {
            return Ok(Some(head));
        }
        self.version(&line, change.version).await
    }

    /// Returns the wire change in the form that its reader needs, and by how many bytes a patch in it
    /// is less than the document; nothing if nothing that it is shown changed.
    pub(crate) async fn body(
        &self,
        entry: &Arc<Entry>,
        form: Form,
    ) -> Result<Option<(Body, Option<usize>)>, Problem> {
        let base = match form {
            _ if self.mode != Mode::Delta => FormBase::Own,
            Form::Own => FormBase::Own,
            Form::From(version) => FormBase::Version(version),
            Form::Whole | Form::Known => FormBase::Nothing,
        };
        // Which documents one may see who may not read all, and since when not any more, is asked
        // for each reader: what was made for one is not handed to another.
        let has_document = self.mode == Mode::Snapshot || base != FormBase::Own;
        if !self.shape.mask.is_whole() || (has_document && !self.shape.all) {
            return Ok(Box::pin(self.made(entry, form)).await?.map(of_form));
        }
        if self.mode == Mode::Delta && base == FormBase::Own && !self.old {
            let with_seq = self.shape.all;
            return Ok(Some((Body::Own { with_seq }, entry.saved())));
        }
        let key = FormKey {
            position: entry.position(),
            mode: self.mode,
            base,
            with_seq: self.shape.all,
            old: self.old,
        };
        // Boxed: it is large, and the plain form, which most get, does without it.
        let make = Box::pin(self.made(entry, form));
        let shared = self.workspace.forms().shared(key, make).await?;
        Ok(shared.map(of_form))
    }

    async fn made(&self, entry: &Arc<Entry>, form: Form) -> Result<Option<FormBody>, Problem> {
        let change = &entry.change;
        let whole = self.shape.mask.is_whole();
        match self.mode {
            Mode::Thin => Ok(Some(whole_body(self.encode(entry, change, None)))),
            Mode::Snapshot => {
                let head = self.as_of(entry).await?;
                let document = head.map(|head| head.document.to_json());
                Ok(Some(whole_body(self.encode_snapshot(entry, document))))
            }
            Mode::Delta if whole && form == Form::Own => Ok(Some(self.own(entry))),
            Mode::Delta => self.remade(entry, form).await,
        }
    }

    fn own(&self, entry: &Arc<Entry>) -> FormBody {
        let text = match self.old {
            true => self.encode(entry, &entry.change, None),
            false => entry.delta_json(self.shape.all).clone(),
        };
        let saved = entry.saved();
        FormBody { text, saved }
    }

    fn encode_snapshot(&self, entry: &Arc<Entry>, document: Option<Json>) -> Arc<str> {
        let mask = &self.shape.mask;
        if mask.is_whole() {
            return self.encode(entry, &entry.change, document.as_ref());
        }
        let document = match &entry.change.effect {
            Effect::Snapshot(document) => Some(document.clone()),
            Effect::Patch(_) => document,
            Effect::Gone => None,
        };
        let effect = document.map_or(Effect::Gone, |d| Effect::Snapshot(mask.project(&d)));
        self.encode(entry, &self.with_effect(&entry.change, effect), None)
    }

    /// Makes the change's body anew: from another version, of parts, or whole.
    async fn remade(&self, entry: &Arc<Entry>, form: Form) -> Result<Option<FormBody>, Problem> {
        let change = &entry.change;
        let mask = &self.shape.mask;
        match &change.effect {
            Effect::Gone => return Ok(Some(self.own(entry))),
            Effect::Snapshot(_) if mask.is_whole() => return Ok(Some(self.own(entry))),
            Effect::Snapshot(document) => {
                let effect = Effect::Snapshot(mask.project(document));
                let change = self.with_effect(change, effect);
                return Ok(Some(whole_body(self.encode(entry, &change, None))));
            }
            Effect::Patch(_) => {}
        }
        let from = match form {
            Form::Own => Some(change.from),
            Form::From(version) => Some(version),
            Form::Whole | Form::Known => None,
        };
        let Some(after) = self.as_of(entry).await? else {
            // It is not to be had any more; its reader compares `from` with what it holds.
            return Ok(Some(self.own(entry)));
        };
        let before = match from {
            Some(version) => self.version(&change.line(), version).await?,
            None => None,
        };
        let bytes = after.document.weight() + before.as_ref().map_or(0, |b| b.document.weight());
        Ok(aside(bytes, || {
            let after = after.document.to_json();
            let before = before.map(|head| (head.version, head.document.to_json()));
            let change = self.between(change, before, &after)?;
            let saved = match &change.effect {
                Effect::Patch(patch) => Some(after.weight().saturating_sub(patch.weight())),
                Effect::Snapshot(_) | Effect::Gone => None,
            };
            let text = self.encode(entry, &change, None);
            Some(FormBody { text, saved })
        }))
    }

    /// Returns the change as the step from `before`; nothing if its reader would see none.
    fn between(
        &self,
        change: &Change,
        before: Option<(Version, Json)>,
        after: &Json,
    ) -> Option<Change> {
        let mask = &self.shape.mask;
        let shown = mask.project(after);
        let Some((from, before)) = before else {
            return Some(self.with_effect(change, Effect::Snapshot(shown)));
        };
        let patch = mask.between(&before, after);
        if patch.is_empty() && !mask.is_whole() {
            return None;
        }
        let json = patch.to_json();
        if json.weight() > shown.weight() + PATCH_MORE_MAX {
            return Some(self.with_effect(change, Effect::Snapshot(shown)));
        }
        let mut step = self.with_effect(change, Effect::Patch(json));
        step.from = from;
        step.changed = patch.touched();
        if self.old {
            step.intent.old = old_values(&mask.project(&before), &patch);
        }
        Some(step)
    }

    /// Returns the change with another effect; what it says of places that are not shown is left
    /// out.
    fn with_effect(&self, change: &Change, effect: Effect) -> Change {
        let mask = &self.shape.mask;
        let mut step = Change {
            effect,
            ..change.clone()
        };
        if matches!(step.effect, Effect::Snapshot(_)) {
            step.from = Version::ZERO;
        }
        step.changed.retain(|place| mask.meets(place));
        step.intent.old.retain(|(place, _)| mask.meets(place));
        step
    }

    fn encode(&self, entry: &Arc<Entry>, change: &Change, document: Option<&Json>) -> Arc<str> {
        let view = ChangeView {
            change,
            seq: self.shape.all.then_some(entry.seq),
            cursor: change.bulk.is_none().then(|| entry.cursor()),
            mode: self.mode,
            document,
            show_hash: self.mode != Mode::Thin && self.shape.mask.is_whole(),
            old: self.old,
        };
        let mut w = JsonWriter::with_capacity(512);
        view.write(&mut w);
        w.into_string().into()
    }
}

fn of_form(form: FormBody) -> (Body, Option<usize>) {
    (Body::Made(form.text), form.saved)
}

fn whole_body(text: Arc<str>) -> FormBody {
    FormBody { text, saved: None }
}
