//! A change that is explained, and what a subscriber's terms say of it.

use std::sync::Arc;

use syncline_api::{Code, Problem, Scope, ScopeTerm};
use syncline_delivery::{Shape, Terms};
use syncline_engine::{Entry, Principal, When, Workspace};
use syncline_model::change::ChangeType;
use syncline_model::head::Head;
use syncline_model::ids::{Address, ChangeId, Seq, Version};
use syncline_model::json::JsonWriter;
use syncline_rules::{
    Answer as Matched, Clause, Facts, Subject, Verdict, judge, place_in, visible,
};

/// A change that is explained, with the document after it.
pub(super) struct Found {
    pub entry: Arc<Entry>,
    document: Option<Arc<Head>>,
    rule: &'static str,
}

/// What a subscriber's terms say of a change.
pub(super) struct Judged {
    verdict: Verdict,
    excluded: bool,
    pub wanted: bool,
}

impl Found {
    pub async fn find(
        workspace: &Workspace,
        principal: &Principal,
        id: &ChangeId,
    ) -> Result<Found, Problem> {
        let unknown = || Problem::new(Code::NotFound, format!("there is no change {id}"));
        let seq = workspace
            .seq_of(id)
            .await?
            .filter(|seq| *seq <= workspace.tail().seq);
        let before = seq.ok_or_else(unknown)?.0.checked_sub(1).map(Seq);
        let entries = workspace.read_log(before.ok_or_else(unknown)?, 1).await?;
        let entry = entries.into_iter().next().ok_or_else(unknown)?;
        let change = &entry.change;
        let rules = &workspace.settings().rules;
        // Who may not see it does not hear that it is there.
        if !visible(principal, &Subject::of_change(change), rules) {
            return Err(unknown());
        }
        let version = match change.kind {
            ChangeType::Delete => Version(change.version.0 - 1),
            _ => change.version,
        };
        let document = workspace
            .get(principal, &change.line(), When::Version(version))
            .await;
        Ok(Found {
            document: document.ok(),
            entry: entry.clone(),
            rule: match principal.reads_all() {
                true => "the owner reads everything",
                false => "the context's level lets this principal read it",
            },
        })
    }

    fn facts(&self) -> Facts<'_> {
        let document = self.document.as_ref().map(|head| &head.document);
        Facts::with_document(&self.entry.change, document)
    }

    /// Judges the change by a subscriber's terms.
    pub fn judge(&self, terms: &Terms) -> Judged {
        let change = &self.entry.change;
        let verdict = judge(&terms.scope, &terms.inherited, change);
        let excluded = terms.exclude.as_ref().is_some_and(|e| e.covers(change));
        let wanted = match verdict {
            Verdict::Outside => false,
            // What enters or leaves a scope is told whatever the filter says of the change; who
            // wants no such context does not hear that it came.
            Verdict::Enters => self.document.as_ref().is_some_and(|head| {
                let facts = Facts::of_context(change, &head.document);
                terms.matcher.admits(&facts)
            }),
            Verdict::Leaves => true,
            Verdict::Inside => !excluded && terms.matcher.try_out(&self.facts()) == Matched::Yes,
        };
        Judged {
            verdict,
            excluded,
            wanted,
        }
    }

    /// Says whether a subscriber who wants it is shown anything of it.
    pub fn shows(&self, shape: &Shape, judged: &Judged) -> bool {
        let change = &self.entry.change;
        let is_update = judged.verdict == Verdict::Inside && change.kind == ChangeType::Update;
        !is_update || shape.meets(change)
    }

    /// Writes what the terms say: scope, filter and access, each with its parts.
    pub fn write(&self, w: &mut JsonWriter, terms: &Terms, judged: &Judged) {
        self.write_scope(w, terms, judged.verdict);
        let mut clauses = terms.matcher.explain(&self.facts());
        let condition = terms.matcher.condition().and_then(|_| clauses.pop());
        w.key("filter");
        w.begin_array();
        clauses.iter().for_each(|clause| write_clause(w, clause));
        w.end_array();
        if let Some(condition) = condition {
            w.key("where");
            w.begin_object();
            w.field_str("expression", &condition.text);
            write_answer(w, &condition);
            w.end_object();
        }
        if judged.excluded {
            w.field_bool("excluded", true);
        }
        w.field_bool("visible", true);
        w.field_str("rule", self.rule);
    }

    fn write_scope(&self, w: &mut JsonWriter, terms: &Terms, verdict: Verdict) {
        let change = &self.entry.change;
        let mut lines = terms.inherited.iter();
        w.field_str("scope", verdict_word(verdict));
        w.key("terms");
        w.begin_array();
        for term in &terms.scope.0 {
            let own: &[Vec<Address>] = match term {
                ScopeTerm::Inherited(_) => lines.next().map_or(&[], std::slice::from_ref),
                _ => &[],
            };
            let one = Scope(vec![term.clone()]);
            w.begin_object();
            w.key("term");
            one.write(w);
            let holds = place_in(&one, own, &change.context, &change.place);
            w.field_bool("holds", holds);
            w.end_object();
        }
        w.end_array();
    }
}

impl Judged {
    /// Says why the terms do not want it, where they do not.
    pub fn refusal(&self) -> Option<&'static str> {
        match (self.verdict, self.wanted) {
            (Verdict::Outside, _) => {
                Some("its context is outside of the scope, before and after it")
            }
            (_, true) => None,
            (Verdict::Enters, _) => {
                Some("its context came into the scope, and the filter lets no such context pass")
            }
            (_, false) if self.excluded => Some("it is the subscriber's own, which it leaves out"),
            (_, false) => Some("the filter does not let it pass"),
        }
    }

    /// Says what came of it, and of a change that is told for where it moved its context, that.
    pub fn told(&self, because: &str) -> String {
        match (self.wanted, self.verdict) {
            (true, Verdict::Enters) => {
                format!("its context came into the scope, and that is told: {because}")
            }
            (true, Verdict::Leaves) => {
                format!("its context left the scope, and that is told: {because}")
            }
            _ => because.to_owned(),
        }
    }
}

fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Outside => "outside",
        Verdict::Inside => "inside",
        Verdict::Enters => "enters",
        Verdict::Leaves => "leaves",
    }
}

/// Writes a clause and all that it is made of, each with whether it holds.
fn write_clause(w: &mut JsonWriter, clause: &Clause) {
    w.begin_object();
    w.field_raw("clause", &clause.text);
    write_answer(w, clause);
    if !clause.of.is_empty() {
        w.key("of");
        w.begin_array();
        clause.of.iter().for_each(|clause| write_clause(w, clause));
        w.end_array();
    }
    w.end_object();
}

fn write_answer(w: &mut JsonWriter, clause: &Clause) {
    w.field_bool("holds", clause.answer == Matched::Yes);
    if let Some(wrong) = &clause.wrong {
        w.field_str("wrong", &wrong.to_string());
    }
}
