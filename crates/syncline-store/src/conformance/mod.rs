//! The promises of [`crate::Store`] as tests that every backend runs.
//!
//! Each function takes an empty store and panics where a promise is broken. A backend names them
//! all with [`crate::conformance_tests`].
#![expect(
    clippy::missing_panics_doc,
    reason = "a broken promise panics; that is what these are for"
)]

mod appends;
mod conflicts;
mod framing;
mod kept;
mod lists;
mod oracle;
mod reads;
pub mod scribe;
mod subtrees;
mod thinning;

pub use appends::*;
pub use conflicts::*;
pub use framing::*;
pub use kept::*;
pub use lists::*;
pub use reads::*;
pub use subtrees::*;
pub use thinning::*;

/// Makes a test of each promise.
///
/// `$make` is called with `Option<CommitFault>` and awaited; it returns `(Arc<dyn Store>, guard)`,
/// and the guard is dropped when the test ends.
#[macro_export]
macro_rules! conformance_tests {
    ($make:path) => {
        $crate::conformance_tests! { @each $make;
            a_workspace_is_made_once,
            an_unknown_workspace_is_named,
            an_epoch_is_kept,
            a_closed_store_refuses,
            p2_an_append_is_read_back_as_it_was,
            p2_an_append_decided_elsewhere_writes_nothing,
            p2_a_log_that_would_break_is_not_written,
            p3_ids_are_kept_with_and_without_records,
            p1_a_failing_append_leaves_nothing,
            appends_that_wait_follow_one_another,
            workspaces_are_apart,
            appends_of_many_workspaces_at_once,
            heads_follow_their_versions,
            p2_records_come_without_a_gap_and_within_limits,
            versions_are_found_by_number_and_place,
            a_time_leads_to_its_place,
            every_version_is_rebuilt,
            a_stored_document_is_checked,
            lists_agree_with_an_oracle,
            pages_neither_skip_nor_repeat,
            a_subtree_is_found_through_what_was_deleted,
            a_subtree_is_walked_in_pages,
            a_walk_survives_moves,
            a_height_counts_levels,
            labels_of_every_kind_are_found,
            p4_conflicts_are_kept_as_their_changes_left_them,
            p4_a_head_keeps_its_conflicts,
            p1_a_failing_append_leaves_no_conflict,
            conflicts_come_in_pages_by_id,
            branches_never_show_in_lists_and_subtrees,
            branches_have_versions_of_their_own,
            branches_come_by_name,
            a_conflict_that_is_not_as_it_was_told_is_found,
            kept_values_come_in_order,
            kept_values_of_workspaces_are_apart,
            kept_values_are_bounded,
            keeping_waits_with_appends,
            all_is_well_when_nothing_is_rotten,
            p3_thinning_takes_what_is_named_alone,
            p2_a_thinning_that_would_harm_is_refused,
            framing_changes_nothing_that_is_read,
            p3_framing_and_thinning_go_together,
        }
        #[tokio::test]
        async fn p1_an_unknown_commit_that_was_written_is_found() {
            let fault = $crate::CommitFault { at: 3, written: true };
            let (store, _guard) = $make(Some(fault)).await;
            $crate::conformance::p1_an_unknown_commit_is_found_out(store, fault).await;
        }
        #[tokio::test]
        async fn p1_an_unknown_commit_that_was_lost_is_found_out() {
            let fault = $crate::CommitFault { at: 3, written: false };
            let (store, _guard) = $make(Some(fault)).await;
            $crate::conformance::p1_an_unknown_commit_is_found_out(store, fault).await;
        }
        #[tokio::test]
        async fn p1_a_keep_that_was_written_unknown_is_found() {
            let fault = $crate::CommitFault { at: 3, written: true };
            let (store, _guard) = $make(Some(fault)).await;
            $crate::conformance::p1_an_unknown_keep_is_found_out(store, fault).await;
        }
        #[tokio::test]
        async fn p1_a_keep_that_was_lost_unknown_is_found_out() {
            let fault = $crate::CommitFault { at: 3, written: false };
            let (store, _guard) = $make(Some(fault)).await;
            $crate::conformance::p1_an_unknown_keep_is_found_out(store, fault).await;
        }
    };
    (@each $make:path; $($name:ident,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let (store, _guard) = $make(None).await;
                $crate::conformance::$name(store).await;
            }
        )*
    };
}
