//! Rules as JSON.

use crate::json;
use syncline_merge::{
    Action, MergeLimits, MergePolicy, MergeRules, Names, Rule, RuleStep, RulesError, Side, Sides,
    merge,
};

#[test]
fn rules_read_back() {
    let text = r#"{"/a":"counter","/b/*":"set","/c":{"keyed":"url"},"/d":"append","/e":"max","/f":"min","/g":"first","/h":"last","/i":"text","/j":"atomic"}"#;
    let rules = MergeRules::from_json(&json(text)).unwrap();
    assert_eq!(rules.to_json(), json(text));
    assert!(!rules.is_empty());
    assert!(MergeRules::default().is_empty());
}

#[test]
fn other_rules_are_refused() {
    let check = |text: &str| MergeRules::from_json(&json(text)).unwrap_err();
    assert_eq!(check("[]"), RulesError::NotObject);
    assert_eq!(check(r#"{"/a":"sum"}"#), RulesError::Policy);
    assert_eq!(check(r#"{"/a":{"keyed":1}}"#), RulesError::Policy);
    assert_eq!(
        check(r#"{"/a":{"keyed":"a","more":1}}"#),
        RulesError::Policy
    );
    assert!(matches!(check(r#"{"a":"set"}"#), RulesError::Pattern(_)));
    let many: Vec<String> = (0..1_001).map(|n| format!(r#""/{n}":"set""#)).collect();
    assert_eq!(
        check(&format!("{{{}}}", many.join(","))),
        RulesError::TooMany
    );
}

#[test]
fn texts_of_actions_and_rules_are_unique() {
    for &action in Action::ALL {
        assert_eq!(action.as_str().parse(), Ok(action));
    }
    for &rule in Rule::ALL {
        assert_eq!(rule.as_str().parse(), Ok(rule));
    }
    assert_eq!("other".parse::<Rule>(), Err(()));
}

/// Declares a counter for members of some names, and another policy for one of them and the rest.
fn named(steps_per_byte: u64) -> MergeRules {
    let names = Names::new("^n", steps_per_byte, |name| name.starts_with('n'));
    let mut rules = MergeRules::from_json(&json(r#"{"/nine":"max","/*":"last"}"#)).unwrap();
    let path = vec![RuleStep::Among(names.clone())];
    rules.declare_at(path, MergePolicy::Counter).unwrap();
    let below = vec![RuleStep::Among(names), RuleStep::Name("n".into())];
    rules.declare_at(below, MergePolicy::Min).unwrap();
    rules
}

fn merged(rules: &MergeRules, [base, ours, theirs]: [&str; 3]) -> syncline_merge::Merged {
    let [base, ours, theirs] = [base, ours, theirs].map(json);
    let sides = |ours, theirs, earlier| Sides {
        base: Some(&base),
        ours: Some(ours),
        theirs: Some(theirs),
        earlier,
    };
    let merged = merge(
        sides(&ours, &theirs, Side::Theirs),
        rules,
        &MergeLimits::default(),
    );
    let turned = merge(
        sides(&theirs, &ours, Side::Ours),
        rules,
        &MergeLimits::default(),
    );
    assert_eq!(merged.value, turned.value, "whichever side is ours");
    merged
}

#[test]
fn some_names_share_a_rule() {
    let merged = merged(
        &named(1),
        [
            r#"{"n1":1,"nine":1,"other":1,"nest":{"n":5}}"#,
            r#"{"n1":3,"nine":2,"other":2,"nest":{"n":3}}"#,
            r#"{"n1":4,"nine":9,"other":3,"nest":{"n":4}}"#,
        ],
    );
    assert!(merged.is_clean());
    let wanted = r#"{"n1":6,"nine":9,"other":2,"nest":{"n":3}}"#;
    assert_eq!(merged.value, Some(json(wanted)));
}

/// Patterns over many names take time: beyond a bound the object is merged whole.
#[test]
fn looking_at_names_is_bounded() {
    let sides = [
        r#"{"n1":1,"n2":1}"#,
        r#"{"n1":2,"n2":1}"#,
        r#"{"n1":1,"n2":2}"#,
    ];
    assert!(merged(&named(1_000), sides).is_clean());
    let bounded = merged(&named(u64::MAX / 8), sides);
    let clashes: Vec<_> = bounded.clashes().map(|clash| clash.rule).collect();
    assert_eq!(clashes, [Rule::Bound]);
}
