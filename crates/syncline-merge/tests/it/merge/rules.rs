//! Rules as JSON.

use crate::json;
use syncline_merge::{Action, MergeRules, Rule, RulesError};

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
