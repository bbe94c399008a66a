//! A webhook's definition: a context of a built-in kind, so that it has history, rights and undo.
//! Its secret is no part of it: logs, feeds and exports would show it.

use syncline_api::{Condition, Filters, Mode, Problem, Scope};
use syncline_model::head::Head;
use syncline_model::ids::{Address, ChangeId};
use syncline_model::json::{FieldError, Fields, Json, JsonWriter, Limits, Object, Pointer};

use crate::webhook::signature::Secret;

/// The built-in kind whose contexts define webhooks.
pub const WEBHOOK_KIND: &str = "syncline_webhook";
/// Bounds what an owner says of a webhook.
const DESCRIPTION_CHARS_MAX: usize = 1_000;

/// What a webhook is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Where events are posted to.
    pub url: String,
    /// Which contexts.
    pub scope: Scope,
    /// Which of their changes.
    pub filter: Filters,
    /// Which of those.
    pub condition: Option<Condition>,
    /// In which form.
    pub mode: Mode,
    /// Whether it is to be called.
    pub enabled: bool,
    /// What it is for, in its owner's words.
    pub description: Option<String>,
}

/// A definition as a caller sends it, whole or in part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    url: Option<String>,
    scope: Option<Scope>,
    filter: Option<Filters>,
    /// Named without a value: none.
    condition: Option<Option<Condition>>,
    mode: Option<Mode>,
    enabled: Option<bool>,
    description: Option<Option<String>>,
}

impl Wanted {
    /// Reads what a caller sends; with a new webhook, its secret too.
    pub fn read(value: &Json, is_new: bool) -> Result<(Wanted, Option<Secret>), FieldError> {
        let mut f = Fields::new(value, &Pointer::root())?;
        let wanted = Wanted::take(&mut f)?;
        let secret = match is_new {
            true => f.parse("secret", Secret::parse)?,
            false => None,
        };
        f.finish()?;
        if is_new && wanted.url.is_none() {
            // Asked for again, as what must be there.
            Fields::new(value, &Pointer::root())?.required("url")?;
        }
        Ok((wanted, secret))
    }

    fn take(f: &mut Fields<'_>) -> Result<Wanted, FieldError> {
        let (scope_at, filter_at) = (f.at("scope"), f.at("filter"));
        let described = |text: &str| match text.chars().count() {
            0..=DESCRIPTION_CHARS_MAX => Ok(text.to_owned()),
            _ => Err(format!(
                "at most {DESCRIPTION_CHARS_MAX} characters are meant"
            )),
        };
        Ok(Wanted {
            url: f.string("url")?.map(str::to_owned),
            scope: f
                .optional("scope")
                .map(|scope| Scope::read(scope, &scope_at))
                .transpose()?,
            filter: f
                .optional("filter")
                .map(|filter| match filter {
                    Json::Null => Ok(Filters::default()),
                    filter => Filters::read(filter, &filter_at),
                })
                .transpose()?,
            condition: match f.optional("where") {
                Some(Json::Null) => Some(None),
                _ => f.parse("where", Condition::parse)?.map(Some),
            },
            mode: f.parse("mode", str::parse::<Mode>)?,
            enabled: f.bool("enabled")?,
            description: match f.optional("description") {
                Some(Json::Null) => Some(None),
                _ => f.parse("description", described)?.map(Some),
            },
        })
    }

    /// Returns the URL that is asked for.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Says whether the webhook is to be called from now on, whatever was before.
    pub fn enables(&self) -> bool {
        self.enabled == Some(true)
    }

    /// Returns a new definition.
    pub fn into_new(self) -> Definition {
        let new = Definition {
            url: String::new(),
            scope: Scope::workspace(),
            filter: Filters::default(),
            condition: None,
            mode: Mode::Delta,
            enabled: true,
            description: None,
        };
        self.over(new)
    }

    /// Returns the definition with what is asked for in its place.
    pub fn over(self, old: Definition) -> Definition {
        Definition {
            url: self.url.unwrap_or(old.url),
            scope: self.scope.unwrap_or(old.scope),
            filter: self.filter.unwrap_or(old.filter),
            condition: self.condition.unwrap_or(old.condition),
            mode: self.mode.unwrap_or(old.mode),
            enabled: self.enabled.unwrap_or(old.enabled),
            description: self.description.unwrap_or(old.description),
        }
    }
}

impl Definition {
    /// Reads the definition that a context of the built-in kind holds.
    pub fn of_head(head: &Head) -> Result<Definition, FieldError> {
        let data = head.document.object().get("data").cloned();
        let data = data.unwrap_or_else(|| Json::Object(Object::new()));
        let mut f = Fields::new(&data, &Pointer::from_static("/data"))?;
        let wanted = Wanted::take(&mut f)?;
        // A newer node's definition may say more.
        Ok(wanted.into_new())
    }

    /// Writes its members.
    pub fn write_members(&self, w: &mut JsonWriter) {
        w.field_str("url", &self.url);
        w.key("scope");
        self.scope.write(w);
        if !self.filter.is_empty() {
            w.key("filter");
            self.filter.write(w);
        }
        if let Some(condition) = &self.condition {
            w.field_str("where", condition.as_str());
        }
        w.field_str("mode", self.mode.as_str());
        w.field_bool("enabled", self.enabled);
        if let Some(description) = &self.description {
            w.field_str("description", description);
        }
    }

    /// Returns the body of the proposal that writes it.
    pub fn to_body(&self) -> Json {
        let mut w = JsonWriter::with_capacity(300);
        w.begin_object();
        w.field_str("title", &title(&self.url));
        w.key("data");
        w.begin_object();
        self.write_members(&mut w);
        w.end_object();
        w.end_object();
        let text = w.into_string();
        Json::parse(text.as_bytes(), &Limits::default()).expect("what was written is JSON")
    }
}

/// A context's title has no room for every URL.
fn title(url: &str) -> String {
    url.chars().take(200).collect()
}

/// Returns the id of the webhook that a change makes: the same however often it is sent.
pub fn id_of(change: &ChangeId) -> String {
    change.to_string()
}

/// Returns the context that defines a webhook.
pub fn address_of(id: &str) -> Result<Address, Problem> {
    Address::from_parts(WEBHOOK_KIND, id).map_err(|_| unknown(id))
}

/// Says that there is no such webhook.
pub fn unknown(id: &str) -> Problem {
    let shown: String = id.chars().take(100).collect();
    Problem::new(
        syncline_api::Code::NotFound,
        format!("there is no webhook {shown:?}"),
    )
}
