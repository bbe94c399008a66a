//! Problems: what went wrong, where, and what to do; and the one table from them to HTTP
//! statuses, exit codes and JSON-RPC codes.

use std::fmt;

use syncline_model::json::{
    FieldError, FieldErrorKind, Fields, Json, JsonError, JsonErrorKind, JsonWriter, Pointer,
};
use syncline_model::words;

/// What went wrong, as a caller would tell it apart. The name is stable on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The text is not JSON as we read it.
    BadJson,
    /// The text is no cursor.
    BadCursor,
    /// A query, header or message is not what it should be.
    BadRequest,
    /// No key, or one that is not known.
    Unauthorized,
    /// Seen, but not allowed.
    Forbidden,
    /// The `Origin` is foreign.
    ForeignOrigin,
    /// There is no such thing, or none that may be seen.
    NotFound,
    /// The path is there, and the method is not.
    MethodNotAllowed,
    /// The node waited long enough for the request.
    RequestTimeout,
    /// The context was deleted.
    Deleted,
    /// The version is no longer kept.
    Thinned,
    /// The cursor's place is no more: take a snapshot and go on from its cursor.
    Reset,
    /// The head moved since the base, and nothing was applied.
    StaleBase,
    /// A `test` operation of a patch failed.
    TestFailed,
    /// The head is not what the precondition asks for.
    PreconditionFailed,
    /// The base that was named is not kept; send the write again on a version.
    BaseUnknown,
    /// A limit of size.
    TooLarge,
    /// The body's content type is missing or wrong.
    UnsupportedMediaType,
    /// The `Host` is foreign.
    ForeignHost,
    /// A field, kind, address, parent or patch is wrong.
    Invalid,
    /// Another version of the protocol is spoken here.
    UpgradeRequired,
    /// The change id stands for other content.
    ChangeIdReused,
    /// A part of an atomic bulk was refused, and so the whole.
    BulkRefused,
    /// The write needs to say what it was made on.
    PreconditionRequired,
    /// A limit of rate or count.
    TooMany,
    /// Our bug, or rot on disk.
    Internal,
    /// Stored bytes are not what was written; they are not served.
    Rot,
    /// Not built yet.
    NotBuilt,
    /// A commit failed half-way: the same change id, sent again, learns the truth.
    UnknownOutcome,
    /// The node is stopping, starting, or its store is not ready.
    Unavailable,
    /// The disk is full.
    DiskFull,
    /// The node cannot be reached (said by clients, never by a node).
    Unreachable,
}

/// One row of the table.
struct Row {
    code: Code,
    name: &'static str,
    title: &'static str,
    status: u16,
    exit: u8,
    rpc: i32,
    decided: bool,
    retry: bool,
}

#[expect(
    clippy::too_many_arguments,
    reason = "the columns of one row of the table"
)]
const fn row(
    code: Code,
    name: &'static str,
    title: &'static str,
    status: u16,
    exit: u8,
    rpc: i32,
    decided: bool,
    retry: bool,
) -> Row {
    Row {
        code,
        name,
        title,
        status,
        exit,
        rpc,
        decided,
        retry,
    }
}

/// Exit codes are documented in CLI help: 2 usage, 3 refused, 4 key, 5 unreachable or undecided, 70 bug.
#[rustfmt::skip]
const TABLE: [Row; 32] = [
    //                          name                     title                                    status exit  rpc   decided retry
    row(Code::BadJson,              "bad_json",              "the text is not JSON",                    400,  2, -32700, false, false),
    row(Code::BadCursor,            "bad_cursor",            "the cursor is not one of ours",           400,  2, -32602, false, false),
    row(Code::BadRequest,           "bad_request",           "the request is not understood",           400,  2, -32600, false, false),
    row(Code::Unauthorized,         "unauthorized",          "a key is needed",                         401,  4, -32001, false, false),
    row(Code::Forbidden,            "forbidden",             "not allowed",                             403,  3, -32003, true,  false),
    row(Code::ForeignOrigin,        "foreign_origin",        "the Origin is foreign",                   403,  3, -32003, false, false),
    row(Code::NotFound,             "not_found",             "there is no such thing",                  404,  3, -32004, true,  false),
    row(Code::MethodNotAllowed,     "method_not_allowed",    "the method is not known here",            405,  2, -32601, false, false),
    row(Code::RequestTimeout,       "request_timeout",       "the request took too long to arrive",     408,  5, -32008, false, true),
    row(Code::Deleted,              "deleted",               "the context was deleted",                 410,  3, -32010, true,  false),
    row(Code::Thinned,              "thinned",               "the version is no longer kept",           410,  3, -32010, true,  false),
    row(Code::Reset,                "reset",                 "the cursor's place is no more",           410,  3, -32011, false, false),
    row(Code::StaleBase,            "stale_base",            "the head moved since the base",           409,  3, -32009, true,  false),
    row(Code::TestFailed,           "test_failed",           "a test of the patch failed",              409,  3, -32009, true,  false),
    row(Code::PreconditionFailed,   "precondition_failed",   "the head is not what was asked for",      412,  3, -32012, true,  false),
    row(Code::BaseUnknown,          "base_unknown",          "the base is not known",                   412,  3, -32012, false, false),
    row(Code::TooLarge,             "too_large",             "too large",                               413,  3, -32013, true,  false),
    row(Code::UnsupportedMediaType, "unsupported_media_type","the content type is not known here",      415,  2, -32602, false, false),
    row(Code::ForeignHost,          "foreign_host",          "the Host is foreign",                     421,  3, -32003, false, false),
    row(Code::Invalid,              "invalid",               "a field is wrong",                        422,  3, -32602, true,  false),
    row(Code::ChangeIdReused,       "change_id_reused",      "the change id stands for other content",  422,  3, -32014, false, false),
    row(Code::BulkRefused,          "bulk_refused",          "a part of the bulk was refused",          422,  3, -32015, true,  false),
    row(Code::UpgradeRequired,      "upgrade_required",      "another version is spoken here",          426,  2, -32600, false, false),
    row(Code::PreconditionRequired, "precondition_required", "say what the write was made on",          428,  3, -32016, true,  false),
    row(Code::TooMany,              "too_many",              "too many",                                429,  5, -32029, false, true),
    row(Code::Internal,             "internal",              "an error of ours",                        500, 70, -32603, false, false),
    row(Code::Rot,                  "rot",                   "stored bytes are damaged",                500, 70, -32603, false, false),
    row(Code::NotBuilt,             "not_built",             "not built yet",                           501,  3, -32601, false, false),
    row(Code::UnknownOutcome,       "unknown_outcome",       "the outcome is unknown",                  503,  5, -32020, false, true),
    row(Code::Unavailable,          "unavailable",           "not ready",                               503,  5, -32020, false, true),
    row(Code::DiskFull,             "disk_full",             "the disk is full",                        507,  5, -32021, false, true),
    row(Code::Unreachable,          "unreachable",           "the node cannot be reached",              503,  5, -32022, false, true),
];

impl Code {
    fn row(self) -> &'static Row {
        TABLE
            .iter()
            .find(|row| row.code == self)
            .expect("each code has a row")
    }

    /// Returns the stable name.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Returns the short text that does not change from case to case.
    pub fn title(self) -> &'static str {
        self.row().title
    }

    /// Returns the HTTP status.
    pub fn status(self) -> u16 {
        self.row().status
    }

    /// Returns the CLI's exit code.
    pub fn exit(self) -> u8 {
        self.row().exit
    }

    /// Returns the JSON-RPC error code.
    pub fn rpc(self) -> i32 {
        self.row().rpc
    }

    /// Says whether a proposal that met this was decided: the refusal is kept under its change
    /// id and is final. What is not decided may be sent again under the same id.
    pub fn decided(self) -> bool {
        self.row().decided
    }

    /// Says whether the same request may succeed later.
    pub fn retry(self) -> bool {
        self.row().retry
    }

    /// Finds a code by its name.
    pub fn from_name(name: &str) -> Option<Code> {
        TABLE
            .iter()
            .find(|row| row.name == name)
            .map(|row| row.code)
    }

    /// Finds the code that stands for a status, where a peer sent no name that we know.
    pub fn from_status(status: u16) -> Code {
        TABLE
            .iter()
            .find(|row| row.status == status)
            .map_or(Code::Internal, |row| row.code)
    }

    /// Returns all codes, for documents made from the code.
    pub fn all() -> impl Iterator<Item = Code> {
        TABLE.iter().map(|row| row.code)
    }
}

words! {
    /// Why a cursor's place is no more.
    #[derive(PartialOrd, Ord)]
    pub enum ResetReason {
        /// The log has begun another life.
        Epoch = "epoch",
        /// The log was restored from a backup, and ends or reads differently.
        Rewound = "rewound",
        /// The place was compacted away.
        Compacted = "compacted",
        /// The reader's rights changed, or a context with children moved.
        Access = "access",
        /// Too much lies in between.
        Limit = "limit",
    }
}

/// The three sides of a write that could not be applied; a side that is missing is left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sides {
    /// What the writer had seen: the document, with its `version`.
    pub base: Option<Json>,
    /// What it wanted: the document.
    pub ours: Option<Json>,
    /// The head: the document, with its `version` and `etag`, on which a next try is based.
    pub theirs: Option<Json>,
}

/// What went wrong (RFC 9457).
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// What kind of thing.
    pub code: Code,
    /// What exactly, in one line, with the values.
    pub detail: String,
    /// Where in what was sent.
    pub pointer: Option<Pointer>,
    /// What to do about it.
    pub hint: Option<String>,
    /// The limit that was met.
    pub limit: Option<Box<MetLimit>>,
    /// Why a cursor was reset.
    pub reason: Option<ResetReason>,
    /// When to try again.
    pub retry_after_ms: Option<u64>,
    /// The sides of a 409 or 412.
    pub sides: Option<Box<Sides>>,
    /// Each place that is wrong, where there are several.
    pub errors: Option<Box<Misfits>>,
}

/// A limit that was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetLimit {
    /// Its figure.
    pub limit: u64,
    /// The setting that holds it; some can be set by nobody.
    pub setting: Option<String>,
}

impl MetLimit {
    /// Writes its members.
    pub(crate) fn write(&self, w: &mut JsonWriter) {
        w.field_u64("limit", self.limit);
        if let Some(setting) = &self.setting {
            w.field_str("setting", setting);
        }
    }

    /// Reads its members, where they are there.
    pub(crate) fn read(f: &mut Fields<'_>) -> Result<Option<Box<MetLimit>>, FieldError> {
        let setting = f.string("setting")?.map(str::to_owned);
        let met = |limit| Box::new(MetLimit { limit, setting });
        Ok(f.u64("limit")?.map(met))
    }
}

/// The places at which a document does not fit, each with the reason.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Misfits(pub Vec<(Pointer, String)>);

impl Problem {
    /// Makes a problem of a code and a detail.
    pub fn new(code: Code, detail: impl Into<String>) -> Problem {
        Problem {
            code,
            detail: detail.into(),
            pointer: None,
            hint: None,
            limit: None,
            reason: None,
            retry_after_ms: None,
            sides: None,
            errors: None,
        }
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, pointer: Pointer) -> Problem {
        self.pointer = Some(pointer);
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }

    /// Names the limit and its setting.
    #[must_use]
    pub fn limit(mut self, limit: u64, setting: &str) -> Problem {
        let setting = Some(setting.to_owned());
        self.limit = Some(Box::new(MetLimit { limit, setting }));
        self
    }

    /// Names a limit that no setting holds.
    #[must_use]
    pub fn fixed_limit(mut self, limit: u64) -> Problem {
        let setting = None;
        self.limit = Some(Box::new(MetLimit { limit, setting }));
        self
    }

    /// Makes the answer for a cursor whose place is no more.
    pub fn reset(reason: ResetReason) -> Problem {
        let detail = match reason {
            ResetReason::Epoch => "the cursor is from an earlier life of this log",
            ResetReason::Rewound => "the log was restored and does not hold the cursor's place",
            ResetReason::Compacted => "what follows the cursor was compacted away",
            ResetReason::Access => "what may be seen has changed since the cursor",
            ResetReason::Limit => "too much has changed since the cursor",
        };
        let mut problem = Problem::new(Code::Reset, detail).hint(
            "read all pages of GET /v1/contexts, and go on from the `cursor` that they carry",
        );
        problem.reason = Some(reason);
        problem
    }

    /// Makes the answer of a door that is not built yet.
    pub fn not_built(what: &str) -> Problem {
        Problem::new(Code::NotBuilt, format!("{what} is not built yet"))
    }

    /// Writes the problem's JSON.
    pub fn write(&self, w: &mut JsonWriter) {
        w.begin_object();
        w.field_str(
            "type",
            &format!("urn:syncline:problem:{}", self.code.name()),
        );
        w.field_str("title", self.code.title());
        w.field_u64("status", self.code.status().into());
        w.field_str("code", self.code.name());
        w.field_str("detail", &self.detail);
        if let Some(pointer) = &self.pointer {
            w.field_str("pointer", &pointer.to_string());
        }
        if let Some(hint) = &self.hint {
            w.field_str("hint", hint);
        }
        if let Some(met) = &self.limit {
            met.write(w);
        }
        if let Some(reason) = self.reason {
            w.field_str("reason", reason.as_str());
        }
        if let Some(after) = self.retry_after_ms {
            w.field_u64("retry_after_ms", after);
        }
        if self.code == Code::UnknownOutcome {
            w.field_str("outcome", "unknown");
        }
        if let Some(errors) = &self.errors {
            w.key("errors");
            w.begin_array();
            for (pointer, detail) in &errors.0 {
                w.begin_object();
                w.field_str("pointer", &pointer.to_string());
                w.field_str("detail", detail);
                w.end_object();
            }
            w.end_array();
        }
        if let Some(sides) = &self.sides {
            let named = [
                ("base", &sides.base),
                ("ours", &sides.ours),
                ("theirs", &sides.theirs),
            ];
            for (name, side) in named {
                if let Some(side) = side {
                    w.field_json(name, side);
                }
            }
        }
        w.end_object();
    }

    /// Returns the problem's JSON.
    pub fn to_text(&self) -> String {
        let mut w = JsonWriter::new();
        self.write(&mut w);
        w.into_string()
    }

    /// Reads a problem that a node sent or a store kept; what is not known is ignored.
    pub fn read(value: &Json) -> Result<Problem, FieldError> {
        let at = Pointer::root();
        let mut f = Fields::new(value, &at)?;
        let status = f
            .u64("status")?
            .and_then(|s| u16::try_from(s).ok())
            .unwrap_or(500);
        let code = f.string("code")?.and_then(Code::from_name);
        let mut problem = Problem::new(
            code.unwrap_or_else(|| Code::from_status(status)),
            f.string("detail")?.unwrap_or("no detail was given"),
        );
        problem.pointer = f.parse("pointer", Pointer::parse)?;
        problem.hint = f.string("hint")?.map(str::to_owned);
        problem.limit = MetLimit::read(&mut f)?;
        problem.reason = f.string("reason")?.and_then(ResetReason::of_word);
        problem.retry_after_ms = f.u64("retry_after_ms")?;
        let sides = Sides {
            base: f.optional("base").cloned(),
            ours: f.optional("ours").cloned(),
            theirs: f.optional("theirs").cloned(),
        };
        problem.sides = (sides != Sides::default()).then(|| Box::new(sides));
        let mut errors = Misfits::default();
        for error in f.array("errors")?.unwrap_or_default() {
            let pointer = error.get("pointer").and_then(Json::as_str);
            let pointer = pointer.and_then(|text| Pointer::parse(text).ok());
            let detail = error.get("detail").and_then(Json::as_str);
            errors.0.extend(pointer.zip(detail.map(str::to_owned)));
        }
        problem.errors = (!errors.0.is_empty()).then(|| Box::new(errors));
        Ok(problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing is said twice: some details end in the title's words, or quote the pointer.
        let title = self.code.title();
        if !self.detail.ends_with(title) {
            write!(f, "{title}: ")?;
        }
        f.write_str(&self.detail)?;
        match &self.pointer {
            Some(pointer)
                if !pointer.is_root() && !self.detail.contains(&format!("\"{pointer}\"")) =>
            {
                write!(f, " (at {pointer})")
            }
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Problem {
        let detail = error.to_string();
        let hint = error.hint();
        let mut problem = Problem::new(Code::Invalid, detail).at(error.pointer);
        problem.hint = match error.kind {
            FieldErrorKind::Unknown { .. } => {
                hint.or_else(|| Some("leave it out, or put it under /data or /metadata".to_owned()))
            }
            _ => hint,
        };
        problem
    }
}

impl From<JsonError> for Problem {
    fn from(error: JsonError) -> Problem {
        let code = match error.kind {
            JsonErrorKind::TooLarge { .. } => Code::TooLarge,
            _ => Code::BadJson,
        };
        Problem::new(code, error.to_string()).at(error.pointer)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use syncline_model::json::Limits;

    #[test]
    fn every_code_has_one_row_and_one_name() {
        let mut names: Vec<_> = Code::all().map(Code::name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
        for code in Code::all() {
            assert_eq!(Code::from_name(code.name()), Some(code));
        }
    }

    #[test]
    fn problems_round_trip() {
        let mut problem = Problem::new(Code::TooLarge, "the document has 11 MiB")
            .at(Pointer::root().child("data"))
            .hint("split it")
            .limit(10, "max_document_bytes");
        problem.sides = Some(Box::new(Sides {
            base: None,
            ours: Some(Json::from(1)),
            theirs: None,
        }));
        let json = Json::parse(problem.to_text().as_bytes(), &Limits::default()).unwrap();
        assert_eq!(Problem::read(&json).unwrap(), problem);
    }
}
