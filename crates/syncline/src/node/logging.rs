//! The node's own events, on stderr.

use tracing_subscriber::EnvFilter;

use crate::settings::Settings;

/// Starts to log as the settings say. Only a node logs; commands speak through their output.
pub fn start(settings: &Settings) {
    let level = settings.text("log_level").unwrap_or("warn");
    let filter = EnvFilter::new(format!(
        "off,syncline={level},syncline_engine={level},syncline_http={level},syncline_delivery={level},syncline_store_sqlite={level}"
    ));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false);
    // A second start in one process, as in a test, keeps the first one's.
    let _ = match settings.text("log_format") {
        Some("json") => builder.json().try_init(),
        _ => builder.try_init(),
    };
}
