//! The tools' definitions. Every agent pays for them in each conversation, so they are short.

use rmcp::model::Tool as Definition;

/// A tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Read,
    Write,
    List,
    Changes,
    Conflicts,
}

impl Tool {
    /// Says whether it writes: what was begun is then brought to its end.
    pub(crate) fn writes(self) -> bool {
        matches!(self, Tool::Write | Tool::Conflicts)
    }

    /// Finds a tool by its name.
    pub(crate) fn named(name: &str) -> Option<Tool> {
        Some(match name {
            "context_read" => Tool::Read,
            "context_write" => Tool::Write,
            "context_list" => Tool::List,
            "context_changes" => Tool::Changes,
            "context_conflicts" => Tool::Conflicts,
            _ => return None,
        })
    }
}

/// Returns the definitions as `tools/list` shows them.
pub(crate) fn definitions() -> Vec<Definition> {
    serde_json::from_str(DEFINITIONS).expect("the definitions are ours")
}

const DEFINITIONS: &str = include_str!("tools.json");

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_definition_is_a_tool_with_an_exact_schema() {
        let definitions = definitions();
        assert_eq!(definitions.len(), 5);
        for definition in definitions {
            assert!(Tool::named(&definition.name).is_some());
            let schema = definition.schema_as_json_value();
            assert_eq!(schema["type"], "object");
            assert_eq!(schema["additionalProperties"], false);
        }
    }
}
