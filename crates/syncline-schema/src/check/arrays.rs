//! Rules for arrays that apply nodes to their items.

use syncline_model::json::Json;

use super::marks::Marks;
use super::{Check, Step, Token};
use crate::node::{Contains, Items, Node, NodeId};
use crate::shown::count;

impl<'d> Check<'_, 'd> {
    pub(super) fn items(
        &mut self,
        node: &Node,
        items: &Items,
        values: &'d [Json],
        mut marks: Option<&mut Marks>,
    ) -> Step<bool> {
        let mut fits = true;
        for (index, value) in values.iter().enumerate() {
            let (id, is_rest) = match (items.prefix.get(index), items.rest) {
                (Some(id), _) => (*id, false),
                (None, Some(id)) => (id, true),
                (None, None) => break,
            };
            fits &= if is_rest && self.nodes.get(id).is_never() {
                self.no_item(node, "items", index)?
            } else {
                self.apply_below(id, Token::Index(index), value)?
            };
            if !fits && self.is_quiet {
                break;
            }
            if let Some(marks) = marks.as_deref_mut() {
                marks.set(index);
            }
        }
        Ok(fits)
    }

    pub(super) fn unevaluated_items(
        &mut self,
        node: &Node,
        values: &'d [Json],
        marks: &mut Marks,
    ) -> Step<bool> {
        let Some(id) = node.unevaluated_items else {
            return Ok(true);
        };
        let mut fits = true;
        for (index, value) in values.iter().enumerate() {
            self.spend(1)?;
            if marks.has(index) {
                continue;
            }
            marks.set(index);
            fits &= if self.nodes.get(id).is_never() {
                self.no_item(node, "unevaluatedItems", index)?
            } else {
                self.apply_below(id, Token::Index(index), value)?
            };
            if !fits && self.is_quiet {
                break;
            }
        }
        Ok(fits)
    }

    fn no_item(&mut self, node: &Node, keyword: &'static str, index: usize) -> Step<bool> {
        self.spend(1)?;
        self.place.push(Token::Index(index));
        self.fail(node, keyword, |_| {
            (format!("no item is allowed at index {index}"), None)
        });
        self.place.pop();
        Ok(false)
    }

    pub(super) fn contains(
        &mut self,
        node: &Node,
        contains: &Contains,
        values: &'d [Json],
        mut marks: Option<&mut Marks>,
    ) -> Step<bool> {
        let mut found = 0;
        for (index, value) in values.iter().enumerate() {
            if self.fits_below(contains.item, index, value)? {
                found += 1;
                if let Some(marks) = marks.as_deref_mut() {
                    marks.set(index);
                }
            }
            let is_decided =
                found > contains.max || (found >= contains.min && contains.max == u64::MAX);
            if is_decided && marks.is_none() {
                break;
            }
        }
        if found < contains.min {
            let keyword = if contains.min == 1 {
                "contains"
            } else {
                "minContains"
            };
            self.fail(node, keyword, |_| {
                let min = count(usize::try_from(contains.min).unwrap_or(usize::MAX), "item");
                (
                    format!("needs at least {min} as contains asks for, found {found}"),
                    None,
                )
            });
        }
        if found > contains.max {
            self.fail(node, "maxContains", |_| {
                (
                    format!("more than {} items are as contains asks for", contains.max),
                    None,
                )
            });
        }
        Ok((contains.min..=contains.max).contains(&found))
    }

    fn fits_below(&mut self, id: NodeId, index: usize, value: &'d Json) -> Step<bool> {
        self.place.push(Token::Index(index));
        let fits = self.apply_quietly(id, value, None)?;
        self.place.pop();
        Ok(fits)
    }
}
