//! From the settings' table to the engine's and the doors' own types.

use std::time::Duration;

use syncline_engine::{Ranks, Retention, TestFaults};
use syncline_http::DoorLimits;

use crate::settings::{Settings, rank};

/// Returns the engine's settings.
pub fn engine(settings: &Settings, faults: TestFaults) -> syncline_engine::Settings {
    let mut engine = syncline_engine::Settings::default();
    engine.rules.document_bytes_max = settings.size("max_document_bytes");
    engine.rules.document_depth_max = settings.size("max_document_depth");
    engine.rules.patch_operations_max = settings.size("max_patch_operations");
    engine.bulk_max = settings.size("max_bulk");
    engine.bulk_heads_bytes_max = settings.size("bulk_heads_bytes_max");
    engine.commit_bytes_max = settings.size("commit_bytes");
    engine.queue_bytes_max = settings.size("queue_bytes");
    engine.cache_bytes_max = settings.size("cache_bytes");
    engine.recent_bytes_max = settings.size("recent_bytes");
    engine.page_max = settings.size("max_page");
    engine.workspaces_max = settings.size("max_workspaces");
    let word = |name| settings.text(name).and_then(|word| word.parse().ok());
    engine.rules.strategy = word("strategy").unwrap_or(engine.rules.strategy);
    engine.rules.fallback = word("fallback").unwrap_or(engine.rules.fallback);
    let ranks = settings.list("ranks").iter();
    engine.rules.ranks = Ranks(ranks.filter_map(|text| rank(text)).collect());
    engine.rules.node = super::files::host_name();
    engine.rules.open_conflicts_max = settings.size("max_open_conflicts");
    engine.rules.conflict_deadline_ms = i64::try_from(settings.number("conflict_deadline_s"))
        .unwrap_or(i64::MAX / 1_000)
        .saturating_mul(1_000);
    let then = settings
        .text("retention")
        .and_then(|word| word.parse().ok());
    engine.rules.retention = then.map(|then| Retention {
        keep_all_days: settings.number("keep_all_days"),
        then,
    });
    engine.faults = faults;
    engine
}

/// Returns the doors' limits.
pub fn doors(settings: &Settings, shutdown_max: Duration) -> DoorLimits {
    DoorLimits {
        connections_max: settings.size("max_connections"),
        request_bytes_max: settings.size("max_request_bytes"),
        page_max: settings.size("max_page"),
        wait_max: Duration::from_secs(settings.number("max_wait_s")),
        header_time_max: Duration::from_secs(settings.number("max_head_s")),
        subscriptions_max: settings.size("max_subscriptions"),
        principal_subscriptions_max: settings.size("max_principal_subscriptions"),
        durables_max: settings.size("max_durable_subscriptions"),
        shutdown_max,
        ..DoorLimits::default()
    }
}
