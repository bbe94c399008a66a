//! Entry points for fuzzing: whatever the bytes are, nothing panics and the bounds hold.
//!
//! The input is a schema, a line break, and a document for it.

use syncline_merge::{ApplyLimits, Patch};
use syncline_model::json::{Json, Limits};

use crate::{Correction, Report, Schema, SchemaLimits};

/// Reads a schema and a document, checks one with the other, and checks what must hold.
///
/// # Panics
/// If a law is broken.
pub fn fuzz_schema(data: &[u8]) {
    let Some(middle) = data.iter().position(|&byte| byte == b'\n') else {
        return;
    };
    let parse = |bytes| Json::parse(bytes, &Limits::default()).ok();
    let Some(source) = parse(&data[..middle]) else {
        return;
    };
    let limits = SchemaLimits {
        steps_max: 200_000,
        failures_max: 10,
        ..SchemaLimits::default()
    };
    let schema = match Schema::compile(&source, limits.clone()) {
        Ok(schema) => schema,
        Err(error) => return check_line(&error.to_string()),
    };
    for (path, _) in &schema.merge_rules().rules {
        assert!(path.len() <= 65, "paths are bounded");
    }
    if let Some(document) = parse(&data[middle + 1..]) {
        let report = schema.check(&document);
        check_report(&report, &document, &source, &limits);
        assert_eq!(schema.check(&document), report, "a check has one result");
        assert!(
            report.added(&report).is_empty(),
            "nothing is added to itself"
        );
    }
}

fn check_report(report: &Report, document: &Json, source: &Json, limits: &SchemaLimits) {
    assert!(report.steps <= limits.steps_max, "steps are bounded");
    assert!(
        report.failures.len() <= limits.failures_max + 1,
        "failures are bounded"
    );
    assert!(report.failed >= report.failures.len(), "all failures count");
    assert_eq!(
        report.fits(),
        report.failures.is_empty(),
        "each failure is told"
    );
    for failure in &report.failures {
        check_line(&failure.reason);
        let there = document.pointer(&failure.place).is_some();
        assert!(there, "{} is a place", failure.place);
        let there = source.pointer(&failure.rule).is_some();
        assert!(there, "{} is a rule", failure.rule);
        if let Some(Correction::Patch(op)) = &failure.correction {
            let limits = ApplyLimits {
                depth_max: usize::MAX,
                weight_max: usize::MAX,
            };
            let mended = Patch(vec![op.clone()]).apply(document, &limits);
            assert_ne!(
                mended.as_ref(),
                Ok(document),
                "a correction changes something"
            );
            assert!(mended.is_ok(), "a correction applies");
        }
    }
}

fn check_line(text: &str) {
    let bidi = |char| matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let harmless = !text.contains(|char: char| char.is_control() || bidi(char));
    assert!(harmless, "harmless: {text:?}");
}
