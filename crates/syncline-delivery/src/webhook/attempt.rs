//! One attempt at an event: signed, posted, and what the answer means.

use syncline_model::time::Timestamp;

use crate::webhook::event::Message;
use crate::webhook::exchange::{Answer, Exchange, ExchangeError, Post};
use crate::webhook::machine::{End, Failure};
use crate::webhook::rows::Secrets;
use crate::webhook::signature::signatures;

/// Bounds what is kept of an error, in characters.
const WORDS_MAX: usize = 200;

/// Signs an event and posts it.
pub(crate) async fn post(
    exchange: &Exchange,
    url: &str,
    secrets: &Secrets,
    message: Message,
    now: Timestamp,
) -> Result<Answer, ExchangeError> {
    // Checked at each attempt: settings may say something else than when it was defined.
    let target = exchange.guard().check_url(url)?;
    let timestamp_s = now.0.div_euclid(1_000);
    let live = secrets.live(now);
    let signature = signatures(&live, &message.id, timestamp_s, message.body.as_bytes());
    let posted = Post {
        target,
        id: message.id,
        timestamp_s,
        signature,
        body: message.body,
    };
    exchange.post(posted).await
}

/// Says how an attempt ended.
pub(crate) fn end_of(answer: Result<Answer, ExchangeError>) -> End {
    let answer = match answer {
        Ok(answer) => answer,
        Err(ExchangeError::Stopping) => return End::Interrupted,
        Err(error) => return failed(None, in_words(&error)),
    };
    if is_success(answer.status) {
        return End::Delivered(answer.status);
    }
    let why = match answer.status {
        300..=399 => format!(
            "the endpoint answered {}: redirects are not followed",
            answer.status
        ),
        status => format!("the endpoint answered {status}"),
    };
    let asks = matches!(answer.status, 429 | 503);
    End::Failed(Failure {
        status: Some(answer.status),
        why,
        retry_after: answer.retry_after.filter(|_| asks),
    })
}

/// Says why there is no answer. A certificate may bring words of its own, as many as it likes.
pub(crate) fn in_words(error: &ExchangeError) -> String {
    error.to_string().chars().take(WORDS_MAX).collect()
}

/// Makes the end of an attempt that failed.
pub(crate) fn failed(status: Option<u16>, why: String) -> End {
    End::Failed(Failure {
        status,
        why,
        retry_after: None,
    })
}

/// Says whether a status means that the event arrived.
pub(crate) fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}
