//! Retention: which old versions a policy takes away.
//!
//! Days are those of UTC, and a day is thinned only once all of it is old: so what stays of it does
//! not depend on when thinning ran, or how often.

use std::str::FromStr as _;

use syncline_api::{Code, Problem};
use syncline_model::ids::Version;
use syncline_model::json::{Fields, Json, Pointer};
use syncline_model::time::Timestamp;

const DAY_MS: i64 = 86_400_000;
/// Nothing younger is ever thinned (DESIGN, section 10).
pub const KEEP_ALL_DAYS_MIN: u64 = 30;
/// More than a hundred years is for ever.
const KEEP_ALL_DAYS_MAX: u64 = 36_500;

/// How long the versions of a context are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// For so many days all are.
    pub keep_all_days: u64,
    /// Then these.
    pub then: Then,
}

/// Which older versions stay, beside those that are spared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The last of each day.
    Daily,
    /// None: only what is spared, such as what has a tag.
    Tagged,
    /// So many, the newest of them.
    Newest(u64),
}

impl Retention {
    /// Reads `{"keep_all_days":30,"then":"daily"}`; `then` is `daily`, `tagged` or a number.
    pub fn read(json: &Json, at: &Pointer) -> Result<Retention, Problem> {
        let mut fields = Fields::new(json, at)?;
        let days = fields.u64("keep_all_days")?.unwrap_or(KEEP_ALL_DAYS_MIN);
        let then = fields.required("then")?;
        fields.finish()?;
        let wrong = |name: &str, why: String| Problem::new(Code::Invalid, why).at(at.child(name));
        let then = match (then.as_str(), then.as_u64()) {
            (Some(word), _) => word.parse(),
            (None, Some(newest)) => Ok(Then::Newest(newest)),
            (None, None) => Then::from_str(""),
        };
        let then = then.map_err(|why| wrong("then", why.to_owned()))?;
        Retention::new(days, then).map_err(|why| wrong("keep_all_days", why))
    }

    /// Makes a policy that keeps all for long enough.
    pub fn new(keep_all_days: u64, then: Then) -> Result<Retention, String> {
        if !(KEEP_ALL_DAYS_MIN..=KEEP_ALL_DAYS_MAX).contains(&keep_all_days) {
            return Err(format!(
                "all versions are kept for {KEEP_ALL_DAYS_MIN} to {KEEP_ALL_DAYS_MAX} days"
            ));
        }
        Ok(Retention {
            keep_all_days,
            then,
        })
    }

    /// Returns the time before which versions may be thinned: the beginning of a day.
    pub fn cutoff(&self, now: Timestamp) -> Timestamp {
        let days = i64::try_from(self.keep_all_days).unwrap_or(i64::MAX / DAY_MS);
        Timestamp((day(now) - days).saturating_mul(DAY_MS))
    }

    /// Returns the versions of a line that go, rising.
    ///
    /// `versions` are those that are kept, rising. The last is the head, which always stays.
    pub fn thin(&self, versions: &[Aged], now: Timestamp) -> Vec<Version> {
        let cutoff = self.cutoff(now);
        let before_head = versions.split_last().map_or(&[][..], |(_, before)| before);
        let old = before_head.partition_point(|aged| aged.committed_at < cutoff);
        let old = &before_head[..old];
        let newest_from = self.newest_from(old);
        let stays = |(at, aged): (usize, &Aged)| match self.then {
            _ if aged.spared => true,
            Then::Daily => versions
                .get(at + 1)
                .is_none_or(|next| day(next.committed_at) != day(aged.committed_at)),
            Then::Tagged => false,
            Then::Newest(_) => at >= newest_from,
        };
        let goes = |(at, aged): (usize, &Aged)| (!stays((at, aged))).then_some(aged.version);
        old.iter().enumerate().filter_map(goes).collect()
    }
}

impl Retention {
    /// Returns where the newest of the old versions begin, spared ones not counted.
    fn newest_from(&self, old: &[Aged]) -> usize {
        let Then::Newest(count) = self.then else {
            return old.len();
        };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let own = old
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, aged)| !aged.spared);
        own.take(count).last().map_or(old.len(), |(at, _)| at)
    }
}

impl std::str::FromStr for Then {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Then, &'static str> {
        match text {
            "daily" => Ok(Then::Daily),
            "tagged" => Ok(Then::Tagged),
            text => match text.parse() {
                Ok(newest) => Ok(Then::Newest(newest)),
                Err(_) => Err("it is daily, tagged, or how many of the newest stay"),
            },
        }
    }
}

/// A version that is kept, as far as retention asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aged {
    /// Which.
    pub version: Version,
    /// When it was committed; times never fall along a line.
    pub committed_at: Timestamp,
    /// It stays whatever the policy says: it has a tag, a branch begins there, or a conflict is of
    /// it.
    pub spared: bool,
}

/// Returns the number of a time's day.
fn day(at: Timestamp) -> i64 {
    at.0.div_euclid(DAY_MS)
}
