//! All webhooks of a node: who runs, and the way to each.
//!
//! One task follows each workspace's log for definitions, and has a [`Desk`] at work for each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use syncline_api::Problem;
use syncline_engine::{Engine, Principal, Workspace};
use syncline_model::head::Head;
use syncline_model::ids::{Kind, Version, WorkspaceId};
use syncline_store::{ContextList, ListQuery, Sort};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::webhook::definition::{Definition, WEBHOOK_KIND};
use crate::webhook::desk::{Command, Desk, Parts, stopped};
use crate::webhook::exchange::Exchange;
use crate::webhook::machine::Machine;
use crate::webhook::policy::Policy;
use crate::webhook::reader::Reader;
use crate::webhook::rows;
use crate::webhook::state::{Disabled, State};
use crate::webhook::tally::Tally;

/// How often new workspaces are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long a failed look at the definitions waits for the next.
const FAILED_WAIT: Duration = Duration::from_secs(1);
/// How often it is looked whether all are still at work.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// Bounds the commands that wait for one webhook.
const COMMANDS_MAX: usize = 16;
/// Secrets without a definition are kept so long: one that is being made has its secret first.
const ORPHANS_KEPT_MS: i64 = 3_600_000;

/// How a node's webhooks behave.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// When to try again, and when to give up.
    pub policy: Policy,
    /// Whether an endpoint that the guard does not vouch for is asked once if it wants to hear.
    pub challenge: bool,
    /// Bounds the webhooks of a workspace.
    pub webhooks_max: usize,
    /// How long the secret before signs beside a new one.
    pub rotate_for: Duration,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        WebhookSettings {
            policy: Policy::default(),
            challenge: true,
            webhooks_max: 100,
            rotate_for: Duration::from_secs(24 * 3_600),
        }
    }
}

/// The webhooks of a node. Cheap to clone.
#[derive(Clone)]
pub struct Webhooks {
    pub(crate) inner: Arc<Inner>,
}

/// A webhook's workspace and id.
type Key = (WorkspaceId, String);

/// The ways to a webhook at work.
struct AtWork {
    /// That of its definition.
    version: Version,
    commands: mpsc::Sender<Command>,
    tally: Tally,
}

pub(crate) struct Inner {
    engine: Engine,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) settings: WebhookSettings,
    /// Held while secrets are made: two calls must not each make one.
    pub(crate) making: tokio::sync::Mutex<()>,
    desks: Mutex<HashMap<Key, AtWork>>,
    followers: Mutex<HashMap<WorkspaceId, JoinHandle<()>>>,
    looking: Mutex<Option<JoinHandle<()>>>,
    /// Moves when secrets came where none were.
    pokes: watch::Sender<u64>,
    /// Moves when a webhook is put to work.
    begun: watch::Sender<u64>,
    stopping: watch::Sender<bool>,
}

impl Webhooks {
    /// Starts to call the endpoints of all webhooks.
    pub fn start(engine: Engine, exchange: Exchange, settings: WebhookSettings) -> Webhooks {
        let webhooks = Webhooks {
            inner: Arc::new(Inner {
                engine,
                exchange: Arc::new(exchange),
                settings,
                making: tokio::sync::Mutex::default(),
                desks: Mutex::default(),
                followers: Mutex::default(),
                looking: Mutex::default(),
                pokes: watch::Sender::new(0),
                begun: watch::Sender::new(0),
                stopping: watch::Sender::new(false),
            }),
        };
        let looking = tokio::spawn(webhooks.clone().look());
        *locked(&webhooks.inner.looking) = Some(looking);
        webhooks
    }

    /// Begins no more attempts, and lets those that are in flight end.
    pub fn begin_to_stop(&self) {
        self.inner.stopping.send_replace(true);
    }

    /// Stops: attempts are given a moment, and what is known of them is kept.
    pub async fn stop(&self) {
        self.begin_to_stop();
        let looking = locked(&self.inner.looking).take();
        if let Some(looking) = looking {
            let _ = looking.await;
        }
        let followers: Vec<_> = locked(&self.inner.followers).drain().collect();
        for (_, follower) in followers {
            let _ = follower.await;
        }
    }

    /// Says whether this node is the one that acts: the topmost alone sends, and there is no
    /// other yet.
    fn acts(&self) -> bool {
        true
    }

    /// Says whether an endpoint is called without being asked first whether it wants to hear.
    pub(crate) fn trusts(&self, url: &str) -> bool {
        !self.inner.settings.challenge || self.inner.exchange.guard().vouches(url)
    }

    async fn look(self) {
        let mut stopping = self.inner.stopping.subscribe();
        loop {
            if self.acts() {
                for workspace in self.inner.engine.workspaces() {
                    self.follow(&workspace);
                }
            }
            tokio::select! {
                () = stopped(&mut stopping) => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Sees to it that a workspace's webhooks are at work.
    pub(crate) fn follow(&self, workspace: &Workspace) {
        let mut followers = locked(&self.inner.followers);
        if *self.inner.stopping.borrow() || followers.contains_key(workspace.id()) {
            return;
        }
        let follower = Follower {
            webhooks: self.clone(),
            workspace: workspace.clone(),
            running: HashMap::new(),
        };
        let task = tokio::spawn(follower.run());
        followers.insert(workspace.id().clone(), task);
    }

    /// Has the definitions looked at again.
    pub(crate) fn poke(&self) {
        self.inner.pokes.send_modify(|pokes| *pokes += 1);
    }

    /// Returns the way to a webhook that is at work by this version of its definition, or by a
    /// newer one.
    pub(crate) fn desk(
        &self,
        workspace: &WorkspaceId,
        id: &str,
        version: Version,
    ) -> Option<mpsc::Sender<Command>> {
        let key = (workspace.clone(), id.to_owned());
        let desks = locked(&self.inner.desks);
        let desk = desks.get(&key).filter(|desk| desk.version >= version)?;
        Some(desk.commands.clone())
    }

    /// Tells when another webhook is put to work.
    pub(crate) fn begun(&self) -> watch::Receiver<u64> {
        self.inner.begun.subscribe()
    }

    /// Returns what those at work note.
    pub(crate) fn tallies(&self) -> Vec<(Key, Tally)> {
        let desks = locked(&self.inner.desks);
        let tallies = desks.iter();
        tallies
            .map(|(key, desk)| (key.clone(), desk.tally.clone()))
            .collect()
    }
}

/// Follows one workspace's definitions.
struct Follower {
    webhooks: Webhooks,
    workspace: Workspace,
    running: HashMap<String, Running>,
}

/// A webhook at work.
struct Running {
    version: Version,
    task: JoinHandle<()>,
}

impl Follower {
    async fn run(mut self) {
        let mut stopping = self.webhooks.inner.stopping.subscribe();
        let mut pokes = self.webhooks.inner.pokes.subscribe();
        let mut configured = self.workspace.configuration_watch();
        let mut stale = true;
        if let Err(problem) = self.sweep().await {
            tracing::warn!(%problem, "rows of webhooks that are gone were not swept");
        }
        loop {
            if stale {
                match self.look().await {
                    Ok(()) => stale = false,
                    Err(problem) => {
                        tracing::warn!(%problem, "the webhooks' definitions could not be read");
                    }
                }
            }
            tokio::select! {
                () = stopped(&mut stopping) => break,
                rung = configured.changed() => {
                    if rung.is_err() {
                        break;
                    }
                    stale = true;
                }
                poked = pokes.changed() => stale |= poked.is_ok(),
                () = tokio::time::sleep(FAILED_WAIT), if stale => {}
                // A desk that broke off must not stay away in silence.
                () = tokio::time::sleep(CHECK_EVERY) => {
                    stale |= self.running.values().any(|running| running.task.is_finished());
                }
            }
        }
        let ids: Vec<String> = self.running.keys().cloned().collect();
        for id in ids {
            self.end(&id).await;
        }
    }

    /// Puts a desk to work for each definition, and ends those that have none any more.
    async fn look(&mut self) -> Result<(), Problem> {
        let heads = definitions(&self.workspace, &Principal::owner()).await?;
        let gone: Vec<String> = self
            .running
            .keys()
            .filter(|id| !heads.iter().any(|head| head.address.id() == id.as_str()))
            .cloned()
            .collect();
        for id in gone {
            self.end(&id).await;
            rows::forget(&self.workspace, &id).await?;
        }
        for head in heads {
            let id = head.address.id().to_owned();
            let running = self.running.get(&id);
            let works =
                |running: &Running| running.version == head.version && !running.task.is_finished();
            if running.is_some_and(works) {
                continue;
            }
            self.end(&id).await;
            self.begin(&id, &head).await?;
        }
        Ok(())
    }

    async fn begin(&mut self, id: &str, head: &Head) -> Result<(), Problem> {
        let definition = match Definition::of_head(head) {
            Ok(definition) => Arc::new(definition),
            Err(error) => {
                tracing::error!(webhook = id, %error, "a webhook's definition is not understood");
                return Ok(());
            }
        };
        // Rows of a log that came from elsewhere are not here: then nobody can sign.
        let Some(secrets) = rows::secrets(&self.workspace, id).await? else {
            tracing::warn!(webhook = id, "a webhook has no secret here; rotate it");
            return Ok(());
        };
        // What its owner sees is what it may send; only the owner of the node exists today.
        let reader = Reader::new(
            self.workspace.clone(),
            Principal::owner(),
            definition.clone(),
        );
        let machine = self.machine(id, head, &definition, &reader).await?;
        let inner = &self.webhooks.inner;
        let tally = Tally::new(self.workspace.clone());
        let letters = rows::letters(&self.workspace, id).await?;
        let desk = Desk::new(Parts {
            id: id.to_owned(),
            workspace: self.workspace.clone(),
            definition,
            secrets,
            reader,
            machine,
            exchange: inner.exchange.clone(),
            tally: tally.clone(),
            letters,
        });
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let task = tokio::spawn(desk.run(commands, inner.stopping.subscribe()));
        let key = (self.workspace.id().clone(), id.to_owned());
        let version = head.version;
        let at_work = AtWork {
            version,
            commands: sender,
            tally,
        };
        locked(&inner.desks).insert(key, at_work);
        inner.begun.send_modify(|begun| *begun += 1);
        self.running
            .insert(id.to_owned(), Running { version, task });
        Ok(())
    }

    async fn machine(
        &self,
        id: &str,
        head: &Head,
        definition: &Definition,
        reader: &Reader,
    ) -> Result<Machine, Problem> {
        let settings = &self.webhooks.inner.settings;
        let state = match rows::state(&self.workspace, id).await? {
            Some(state) => state,
            // It hears of what comes after it was made.
            None => State {
                cursor: reader.cursor_after(head.seq).await?,
                ..State::default()
            },
        };
        let events = rows::events(&self.workspace, id).await?;
        let (policy, now) = (settings.policy.clone(), self.workspace.now());
        let url = definition.url.clone();
        let mut machine = Machine::restore(policy, url, state, events, now);
        if self.webhooks.trusts(&definition.url) {
            machine.trust();
        }
        Ok(machine)
    }

    /// Ends a webhook's work, and waits until what it knows is kept.
    async fn end(&mut self, id: &str) {
        let key = (self.workspace.id().clone(), id.to_owned());
        locked(&self.webhooks.inner.desks).remove(&key);
        if let Some(running) = self.running.remove(id) {
            let _ = running.task.await;
        }
    }

    /// Forgets the rows of webhooks whose definitions went while nobody looked.
    async fn sweep(&self) -> Result<(), Problem> {
        let now = self.workspace.now();
        for (id, made_at) in rows::all_secrets(&self.workspace).await? {
            let address = crate::webhook::definition::address_of(&id)?;
            let head = self.workspace.head_if_any(&address).await?;
            let defined = head.is_some_and(|head| !head.deleted);
            if !defined && now.0.saturating_sub(made_at.0) > ORPHANS_KEPT_MS {
                rows::forget(&self.workspace, &id).await?;
            }
        }
        Ok(())
    }
}

/// Returns the definitions of a workspace's webhooks.
pub(crate) async fn definitions(
    workspace: &Workspace,
    principal: &Principal,
) -> Result<Vec<Arc<Head>>, Problem> {
    let mut query = ListQuery {
        contexts: ContextList {
            kind: Some(Kind::parse(WEBHOOK_KIND).expect("it is a kind")),
            ..ContextList::default()
        },
        sort: Sort::default(),
        after: None,
        limit: workspace.settings().page_max,
        bodies: true,
    };
    let mut heads = Vec::new();
    loop {
        let page = workspace.list(principal, query.clone()).await?;
        heads.extend(page.heads);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(heads),
        }
    }
}

/// Returns the state of a webhook that nobody may call, for one that is not at work.
pub(crate) fn idle(reason: &str, at: syncline_model::time::Timestamp) -> State {
    State {
        disabled: Some(Disabled {
            at,
            reason: reason.to_owned(),
        }),
        ..State::default()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("nothing panics while the webhooks are locked")
}
