//! P4: many writers on one context, on versions that the head has left behind, through all doors,
//! while the node is killed. Whatever was acknowledged has its effect in the log or waits as a
//! conflict, and no value gives way to a writer who had not seen it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use syncline_api::{ReceiptView, WireBody, WireChange};
use syncline_client::{ChangesQuery, Client, When, fresh_id};
use syncline_merge::{ApplyLimits, Patch};
use syncline_model::change::Outcome;
use syncline_model::ids::{Address, ChangeId, Version};
use syncline_model::json::{Json, Object, Pointer};
use syncline_model::proposal::{Base, Operation, Proposal};
use tokio::sync::{Mutex, RwLock};
use tokio::task::JoinSet;

use super::{Plan, Report};
use crate::audit::Violations;
use crate::ledger::Heard;
use crate::rng::Rng;
use crate::workload::{Sender, address, object, proposal};
use crate::{Access, Door, Node, NodeOptions};

/// How many write at once.
const WRITERS: u64 = 12;
/// How many writes each sends.
const WRITES: u64 = 25;
/// How many fields they share.
const SHARED: u64 = 4;
/// How often the node is killed in a round.
const KILLS: u64 = 2;
/// How often a write is sent again until its writer gives up.
const TRIES_MAX: usize = 200;

/// One acknowledged write.
struct Written {
    id: ChangeId,
    token: String,
    fields: Vec<String>,
    base: u64,
    receipt: ReceiptView,
}

/// Runs rounds, each with a node of its own.
pub async fn run(plan: Plan) -> Report {
    let mut report = Report::new("p4", &plan);
    let mut found = Violations::default();
    let mut counts = BTreeMap::<&str, usize>::new();
    while let Some(run) = report.next_round(&plan, &found) {
        let outcome = round(&plan, run, &mut counts, &mut found).await;
        found.note(outcome);
        plan.say(|| format!("p4: round {run}: {counts:?}"));
    }
    for (name, count) in &counts {
        report.fact(name, count);
    }
    report.end(found)
}

async fn round(
    plan: &Plan,
    run: u64,
    counts: &mut BTreeMap<&str, usize>,
    found: &mut Violations,
) -> Result<(), String> {
    let node = Node::start(NodeOptions::faulty(plan.fault)).await;
    let node = node.map_err(|error| error.to_string())?;
    let access = node.access().clone();
    let context = address(&format!("task/p4-{run}"));
    begin(&access.http(), &context).await?;
    let node = Arc::new(Mutex::new(node));
    let gate = Arc::new(RwLock::new(()));
    let rng = Rng::new(plan.seed).fork(run);
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let index = usize::try_from(number).expect("few writers") % Door::ALL.len();
        let writer = Writer {
            number,
            door: Door::ALL[index],
            access: access.clone(),
            context: context.clone(),
            rng: rng.fork(number),
            gate: gate.clone(),
        };
        writers.spawn(writer.write());
    }
    let mut chaos = rng.fork(1_000);
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(chaos.between(100, 500))).await;
        let _down = gate.write().await;
        let mut node = node.lock().await;
        node.kill().await;
        node.restart().await.map_err(|error| error.to_string())?;
    }
    let mut written = Vec::new();
    while let Some(done) = writers.join_next().await {
        written.extend(done.map_err(|error| error.to_string())??);
    }
    let node = node.lock().await;
    check(&node.http(), &context, &written, counts, found).await?;
    crate::node::assert_no_panic(&node);
    Ok(())
}

async fn begin(client: &Client, context: &Address) -> Result<(), String> {
    let shared = (0..SHARED).map(|n| (format!("s{n}"), Json::from("begin")));
    let data = Json::Object(shared.collect::<Object>());
    let body = object([("data", data)]);
    let write = syncline_client::Write::default();
    let made = client.put(context, &body, &write).await;
    made.map(drop).map_err(|problem| problem.to_string())
}

struct Writer {
    number: u64,
    door: Door,
    access: Access,
    context: Address,
    rng: Rng,
    /// Held by whoever has the node down.
    gate: Arc<RwLock<()>>,
}

impl Writer {
    async fn write(mut self) -> Result<Vec<Written>, String> {
        let mut written = Vec::new();
        let mut sender = None;
        let mut base = 1;
        for count in 0..WRITES {
            if self.rng.chance(40) {
                base = self.look().await.unwrap_or(base);
            }
            let (proposal, token, fields) = self.propose(count, base);
            let heard = self.send(&mut sender, &proposal).await;
            match heard {
                Heard::Receipt(receipt) => written.push(Written {
                    id: proposal.id,
                    token,
                    fields,
                    base,
                    receipt,
                }),
                other => return Err(format!("writer {}: {other:?}", self.number)),
            }
        }
        Ok(written)
    }

    async fn look(&self) -> Option<u64> {
        let _up = self.gate.read().await;
        let head = self.access.http().get(&self.context, &When::Head).await;
        head.ok().map(|head| head.version.0)
    }

    /// Makes a write on a version that is perhaps old: its own field, or some that all share.
    fn propose(&mut self, count: u64, base: u64) -> (Proposal, String, Vec<String>) {
        let token = format!("w{}-{count}", self.number);
        let mut fields = Vec::new();
        if self.rng.chance(70) {
            fields.push(format!("w{}", self.number));
        }
        if fields.is_empty() || self.rng.chance(40) {
            fields.push(format!("s{}", self.rng.below(SHARED)));
        }
        let named = fields
            .iter()
            .map(|f| (f.clone(), Json::from(token.as_str())));
        let data = Json::Object(named.collect::<Object>());
        let body = object([("data", data)]);
        let proposal = Proposal {
            base: Some(Base::Version(Version(base))),
            ..proposal(fresh_id(), &self.context, Operation::Merge, body)
        };
        (proposal, token, fields)
    }

    /// Sends until an answer settles what became of it: the same id, however often.
    async fn send(&self, sender: &mut Option<Sender>, proposal: &Proposal) -> Heard {
        let mut last = Heard::Nothing;
        for _ in 0..TRIES_MAX {
            let open = match sender.take() {
                Some(open) => open,
                None => {
                    let _up = self.gate.read().await;
                    match Sender::open(&self.access, self.door).await {
                        Ok(open) => open,
                        Err(_) => {
                            tokio::time::sleep(Duration::from_millis(20)).await;
                            continue;
                        }
                    }
                }
            };
            last = open.send(proposal).await;
            match last {
                Heard::Receipt(_) | Heard::Refused(_) => {
                    *sender = Some(open);
                    return last;
                }
                Heard::Nothing | Heard::Unknown(_) | Heard::Undecided(_) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        last
    }
}

/// The context's data after each version, and which change made it.
struct History {
    data: Vec<Object>,
    changes: HashMap<ChangeId, WireChange>,
    order: Vec<ChangeId>,
}

impl History {
    async fn read(client: &Client, context: &Address) -> Result<History, String> {
        let mut history = History {
            data: vec![Object::new()],
            changes: HashMap::new(),
            order: Vec::new(),
        };
        let mut document = Json::Null;
        let mut query = ChangesQuery {
            limit: Some(1_000),
            ..ChangesQuery::default()
        };
        loop {
            let page = client.changes(&query).await.map_err(|p| p.to_string())?;
            let changes = page.changes().map_err(|p| p.to_string())?;
            for change in changes.into_iter().filter(|c| c.context == *context) {
                document = applied(&document, &change)?;
                let data = document.get("data").and_then(Json::as_object);
                history.data.push(data.cloned().unwrap_or_default());
                history.order.push(change.id);
                history.changes.insert(change.id, change);
            }
            if page.items.is_empty() || page.cursor == query.after {
                return Ok(history);
            }
            query.after = page.cursor;
        }
    }
}

fn applied(document: &Json, change: &WireChange) -> Result<Json, String> {
    let limits = ApplyLimits {
        depth_max: usize::MAX,
        weight_max: usize::MAX,
    };
    match &change.body {
        WireBody::Snapshot(document) => Ok(document.clone()),
        WireBody::Patch(patch) => {
            let patch = Patch::from_json(patch, &Pointer::root(), usize::MAX);
            let patch = patch.map_err(|error| error.to_string())?;
            patch
                .apply(document, &limits)
                .map_err(|error| error.to_string())
        }
        WireBody::Thin => Ok(Json::Null),
    }
}

async fn check(
    client: &Client,
    context: &Address,
    written: &[Written],
    counts: &mut BTreeMap<&str, usize>,
    found: &mut Violations,
) -> Result<(), String> {
    let history = History::read(client, context).await?;
    let waiting = conflicts(client, context).await?;
    for write in written {
        *counts.entry("writes acknowledged").or_default() += 1;
        let outcome = write.receipt.outcome.as_str();
        *counts.entry(outcome).or_default() += 1;
        check_found(write, &history, &waiting, found);
    }
    let by_id: HashMap<_, _> = written.iter().map(|write| (write.id, write)).collect();
    for (index, id) in history.order.iter().enumerate() {
        if let Some(write) = by_id.get(id) {
            check_seen(write, &history, index + 1, found);
        }
    }
    found.check(history.order.len() > written.len() / 4, || {
        format!("only {} changes are in the log", history.order.len())
    });
    Ok(())
}

/// Returns what waits or waited as a proposal's side, by the proposal's id and field.
async fn conflicts(
    client: &Client,
    context: &Address,
) -> Result<BTreeMap<(String, String), Json>, String> {
    let mut all = BTreeMap::new();
    let mut page = String::new();
    loop {
        let path = format!("/v1/conflicts?context={context}&open=false&limit=1000{page}");
        let answer = client.json(&path).await.map_err(|p| p.to_string())?;
        let listed = answer.get("conflicts").and_then(Json::as_array);
        for conflict in listed.unwrap_or_default() {
            let text = |name: &str| {
                conflict
                    .get(name)
                    .and_then(Json::as_str)
                    .unwrap_or_default()
            };
            let id = text("id").split('.').next().unwrap_or_default().to_owned();
            let field = text("path").trim_start_matches("/data/").to_owned();
            let ours = conflict.get("ours").cloned().unwrap_or(Json::Null);
            all.insert((id, field), ours);
        }
        match answer.get("next").and_then(Json::as_str) {
            Some(next) => page = format!("&page={next}"),
            None => return Ok(all),
        }
    }
}

/// Each acknowledged write has its effect in the log, or a conflict that keeps its side.
fn check_found(
    write: &Written,
    history: &History,
    waiting: &BTreeMap<(String, String), Json>,
    found: &mut Violations,
) {
    if write.receipt.outcome == Outcome::Unchanged {
        return;
    }
    let Some(change) = history.changes.get(&write.id) else {
        return found.add(format!(
            "acknowledged and lost: {} {}",
            write.id, write.token
        ));
    };
    let after = usize::try_from(change.version.0)
        .ok()
        .and_then(|v| history.data.get(v));
    let token = Json::from(write.token.as_str());
    for field in &write.fields {
        let shown = after.and_then(|data| data.get(field)) == Some(&token);
        let waits = waiting.get(&(write.id.to_string(), field.clone())) == Some(&token);
        found.check(shown || waits, || {
            format!(
                "{} set {field} to {}: neither its effect nor a conflict is there",
                write.id, write.token
            )
        });
    }
}

/// No value gave way to a writer who had not seen it.
fn check_seen(write: &Written, history: &History, version: usize, found: &mut Violations) {
    let base = usize::try_from(write.base)
        .ok()
        .and_then(|v| history.data.get(v));
    let (before, after) = (&history.data[version - 1], &history.data[version]);
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for name in names {
        let (old, new) = (before.get(name), after.get(name));
        if old != new {
            let seen = base.and_then(|data| data.get(name));
            found.check(seen == old, || {
                format!(
                    "{} at version {version} took {name} from {old:?} to {new:?}, and its writer had seen {seen:?}",
                    write.id
                )
            });
        }
    }
}
