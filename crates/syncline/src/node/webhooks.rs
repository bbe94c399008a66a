//! From the settings' table to how webhooks behave.

use std::sync::Arc;

use syncline_delivery::webhook::WebhookSettings;
use syncline_delivery::webhook::exchange::{Exchange, ExchangeLimits, Roots, SystemResolver};
use syncline_delivery::webhook::guard::Guard;

use crate::failure::{Failure, Result};
use crate::settings::Settings;

/// Returns the exchange that the settings allow.
pub fn exchange(settings: &Settings) -> Result<Exchange> {
    let allow_http = settings.flag("webhooks_allow_http");
    let guard = Guard::new(allow_http, settings.list("webhooks_allow"));
    let guard = guard.map_err(|error| {
        Failure::usage_hint(
            format!("setting webhooks_allow: {error}"),
            "see `syncline config webhooks_allow`",
        )
    })?;
    let resolver = Arc::new(SystemResolver::default());
    let limits = ExchangeLimits::default();
    Ok(Exchange::new(guard, resolver, Roots::System, limits))
}

/// Returns how webhooks behave.
pub fn settings(settings: &Settings) -> WebhookSettings {
    WebhookSettings {
        challenge: settings.flag("webhooks_challenge"),
        webhooks_max: settings.size("max_webhooks"),
        ..WebhookSettings::default()
    }
}
