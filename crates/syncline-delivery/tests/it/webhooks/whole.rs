//! Webhooks at work: an engine on the memory store, and an endpoint on loopback that does as it
//! is told.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use syncline_api::{BulkMode, Code, Problem};
use syncline_delivery::webhook::calls::read_again;
use syncline_delivery::webhook::exchange::{Exchange, ExchangeLimits, Resolve, Roots};
use syncline_delivery::webhook::guard::Guard;
use syncline_delivery::webhook::machine::End;
use syncline_delivery::webhook::policy::Policy;
use syncline_delivery::webhook::{Made, Shown, Wanted, WebhookSettings, Webhooks};
use syncline_engine::{Engine, Principal, Settings, SystemClock, Workspace};
use syncline_model::ids::{PrincipalId, WorkspaceId};
use syncline_model::json::Json;
use syncline_model::proposal::{Actor, Operation, Precondition, Proposal};
use syncline_model::time::Timestamp;
use syncline_store::MemoryStore;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::durable::node::{compact, forgetful, grow_old};
use crate::{address, json};

/// What came to an endpoint.
#[derive(Clone, Debug)]
struct Came {
    headers: http::HeaderMap,
    body: String,
    event: Json,
}

impl Came {
    fn text(&self, name: &str) -> &str {
        let text = self.event.get(name).and_then(Json::as_str);
        text.unwrap_or_else(|| panic!("{name} is missing in {}", self.body))
    }

    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn about(&self) -> String {
        let n = self
            .event
            .get("data")
            .and_then(|data| data.get("patch"))
            .map(Json::to_text);
        format!("{} {}", self.text("subject"), n.unwrap_or_default())
    }
}

type Answering = Arc<dyn Fn(&Came) -> (u16, String) + Send + Sync>;

/// An endpoint on loopback.
#[derive(Clone)]
struct Endpoint {
    port: u16,
    came: Arc<Mutex<Vec<Came>>>,
    answering: Arc<Mutex<Answering>>,
}

impl Endpoint {
    /// One that answers its challenge, and all else with 200.
    async fn start() -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint {
            port: listener.local_addr().unwrap().port(),
            came: Arc::default(),
            answering: Arc::new(Mutex::new(Arc::new(willing(|_| 200)))),
        };
        let serving = endpoint.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        endpoint
    }

    async fn serve(self, mut stream: TcpStream) {
        let (mut bytes, mut buffer) = (Vec::new(), [0u8; 16 * 1024]);
        let came = loop {
            match stream.read(&mut buffer).await {
                Ok(read) if read > 0 => bytes.extend_from_slice(&buffer[..read]),
                _ => return,
            }
            if let Some(came) = whole(&bytes) {
                break came;
            }
        };
        let answering = self.answering.lock().unwrap().clone();
        let (status, body) = answering(&came);
        self.came.lock().unwrap().push(came);
        let answer = format!(
            "HTTP/1.1 {status} X\r\nretry-after: 1\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let _ = stream.write_all(answer.as_bytes()).await;
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// The same endpoint by a name that no setting lists.
    fn url_by_name(&self) -> String {
        format!("http://hooks.example:{}/hook", self.port)
    }

    fn answer(&self, answering: impl Fn(&Came) -> (u16, String) + Send + Sync + 'static) {
        *self.answering.lock().unwrap() = Arc::new(answering);
    }

    /// Returns what came of contexts.
    fn events(&self) -> Vec<Came> {
        let came = self.came.lock().unwrap().clone();
        let of_context = |came: &Came| came.event.get("subject").is_some();
        came.into_iter().filter(of_context).collect()
    }

    /// Counts the resets that came.
    fn resets(&self) -> usize {
        let came = self.came.lock().unwrap();
        let is_reset = |came: &&Came| came.text("type") == "dev.syncline.reset";
        came.iter().filter(is_reset).count()
    }

    async fn wait_for(&self, count: usize) -> Vec<Came> {
        for _ in 0..500 {
            let events = self.events();
            if events.len() >= count {
                return events;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{} of {count} events came", self.events().len());
    }
}

/// Answers challenges as it should, and events with what `status` says.
fn willing(status: impl Fn(&Came) -> u16 + Send + Sync) -> impl Fn(&Came) -> (u16, String) {
    move |came| match came.text("type") {
        "dev.syncline.webhook.verification" => {
            let data = came.event.get("data").unwrap();
            let challenge = data.get("challenge").and_then(Json::as_str).unwrap();
            (200, format!(r#"{{"challenge":"{challenge}"}}"#))
        }
        _ => (status(came), String::new()),
    }
}

fn whole(bytes: &[u8]) -> Option<Came> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut headers = http::HeaderMap::new();
    for line in head.lines().skip(1) {
        let (name, value) = line.split_once(": ").unwrap();
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.insert(name, value.parse().unwrap());
    }
    let length: usize = headers["content-length"].to_str().unwrap().parse().unwrap();
    (body.len() == length).then(|| Came {
        headers,
        body: body.to_owned(),
        event: json(body),
    })
}

struct Bench {
    engine: Engine,
    workspace: Workspace,
    webhooks: Webhooks,
    endpoint: Endpoint,
}

fn quick() -> Policy {
    Policy {
        delays: vec![Duration::ZERO; 4],
        open_for: Duration::from_millis(100),
        open_after: 20,
        ..Policy::default()
    }
}

/// Every name is this machine's.
struct Loopback;

#[async_trait::async_trait]
impl Resolve for Loopback {
    async fn resolve(&self, _name: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)])
    }
}

fn webhooks(engine: &Engine, policy: Policy) -> Webhooks {
    let guard = Guard::new(true, &["127.0.0.1".to_owned()]).unwrap();
    let limits = ExchangeLimits::default();
    let exchange = Exchange::new(guard, Arc::new(Loopback), Roots::System, limits);
    let settings = WebhookSettings {
        policy,
        ..WebhookSettings::default()
    };
    Webhooks::start(engine.clone(), exchange, settings)
}

impl Bench {
    async fn start(policy: Policy) -> Bench {
        let store = Arc::new(MemoryStore::new());
        let engine = Engine::open(store, Arc::new(SystemClock), Settings::default());
        let engine = engine.await.unwrap();
        Bench {
            workspace: engine.workspace(&WorkspaceId::default_workspace()).unwrap(),
            webhooks: webhooks(&engine, policy),
            engine,
            endpoint: Endpoint::start().await,
        }
    }

    fn proposal(&self, context: &str, operation: Operation, body: &str) -> Proposal {
        let actor = Actor::from_principal(PrincipalId::owner());
        let id = self.engine.fresh_id();
        let mut proposal = Proposal::new(id, address(context), operation, json(body), actor);
        proposal.create = operation == Operation::Merge;
        if operation == Operation::Delete {
            proposal.precondition = Precondition::MatchAny;
        }
        proposal
    }

    async fn write(&self, context: &str, operation: Operation, body: &str) {
        let proposal = self.proposal(context, operation, body);
        self.workspace
            .submit(&Principal::owner(), proposal)
            .await
            .unwrap();
    }

    async fn set(&self, context: &str, n: u64) {
        let body = format!(r#"{{"data":{{"n":{n}}}}}"#);
        self.write(context, Operation::Merge, &body).await;
    }

    async fn try_make(&self, more: &str) -> Result<Made, Problem> {
        self.try_make_at(&self.endpoint.url(), more).await
    }

    async fn try_make_at(&self, url: &str, more: &str) -> Result<Made, Problem> {
        let text = format!(r#"{{"url":"{url}"{more}}}"#);
        let wanted = Wanted::read(&json(&text), true).unwrap();
        let proposal = self.proposal("task/any", Operation::Create, "{}");
        let principal = Principal::owner();
        self.webhooks
            .create(&self.workspace, &principal, wanted, proposal)
            .await
    }

    async fn make(&self, more: &str) -> Made {
        self.try_make(more).await.unwrap()
    }

    async fn shown(&self, id: &str) -> Shown {
        let principal = Principal::owner();
        self.webhooks
            .get(&self.workspace, &principal, id)
            .await
            .unwrap()
    }

    /// Waits until a webhook stands as it should.
    async fn wait_until(&self, id: &str, stands: impl Fn(&Shown) -> bool) -> Shown {
        for _ in 0..500 {
            let shown = self.shown(id).await;
            if stands(&shown) {
                return shown;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!(
            "it never came to stand so: {:?}",
            self.shown(id).await.standing
        );
    }

    async fn change(&self, id: &str, wanted: &str) {
        let changed = self.try_change(id, wanted, Precondition::None);
        changed.await.unwrap();
    }

    async fn try_change(
        &self,
        id: &str,
        wanted: &str,
        precondition: Precondition,
    ) -> Result<(), Problem> {
        let (wanted, _) = Wanted::read(&json(wanted), false).unwrap();
        let proposal = Proposal {
            precondition,
            ..self.proposal("task/any", Operation::Replace, "{}")
        };
        let principal = Principal::owner();
        let changed = self
            .webhooks
            .change(&self.workspace, &principal, (id, wanted), proposal);
        changed.await.map(drop)
    }

    async fn replay(&self, id: &str, what: &str) -> u64 {
        let again = read_again(&self.workspace, &json(what)).await.unwrap();
        let principal = Principal::owner();
        let replayed = self.webhooks.replay(&self.workspace, &principal, id, again);
        replayed.await.unwrap()
    }
}

const TASKS: &str = r#","scope":[{"subtree":"global/main"}]"#;

#[tokio::test]
async fn changes_come_in_order_signed_and_as_cloud_events() {
    let bench = Bench::start(quick()).await;
    let made = bench.make("").await;
    for n in 0..30 {
        bench
            .set(["task/a", "task/b", "task/c"][n as usize % 3], n)
            .await;
    }
    let came = bench.endpoint.wait_for(30).await;
    let secret = made.secret.unwrap().reveal();
    let library = standardwebhooks::Webhook::new(&secret).unwrap();
    for came in &came {
        library.verify(came.body.as_bytes(), &came.headers).unwrap();
        assert_eq!(came.header("webhook-id"), came.text("id"));
        assert_eq!(came.text("specversion"), "1.0");
        assert_eq!(came.text("source"), "/workspaces/default");
        assert_eq!(came.header("content-type"), "application/cloudevents+json");
        let data = came.event.get("data").unwrap();
        assert_eq!(data.get("id").and_then(Json::as_str), Some(came.text("id")));
    }
    for context in ["task/a", "task/b", "task/c"] {
        let of_it = came.iter().filter(|came| came.text("subject") == context);
        let versions: Vec<_> = of_it
            .map(|came| {
                came.event
                    .get("data")
                    .unwrap()
                    .get("version")
                    .unwrap()
                    .as_u64()
                    .unwrap()
            })
            .collect();
        assert_eq!(versions, (1..=10).collect::<Vec<_>>(), "{context}");
    }
    assert_eq!(came[0].text("type"), "dev.syncline.context.created");
    let shown = bench
        .wait_until(&made.id, |shown| shown.standing.outstanding == 0)
        .await;
    assert_eq!(
        (shown.standing.state.delivered, shown.standing.state.failed),
        (30, 0)
    );
    bench.webhooks.stop().await;
}

#[tokio::test]
async fn nothing_comes_before_the_challenge_came_back() {
    let policy = Policy {
        delays: vec![Duration::ZERO, Duration::from_millis(50)],
        ..quick()
    };
    let bench = Bench::start(policy).await;
    bench.endpoint.answer(|_| (200, "whatever".to_owned()));
    // The name leads to an address that the setting lists, but nobody vouched for the name.
    let url = bench.endpoint.url_by_name();
    let made = bench.try_make_at(&url, "").await.unwrap();
    bench.set("task/a", 1).await;
    let failed = |shown: &Shown| shown.standing.state.challenges == 2;
    let shown = bench.wait_until(&made.id, failed).await;
    assert!(!shown.standing.proved);
    let error = shown.standing.state.last_error.unwrap();
    assert_eq!(error, "the endpoint did not answer with its challenge");
    assert!(bench.endpoint.events().is_empty());
    bench.endpoint.answer(willing(|_| 200));
    bench.change(&made.id, r#"{"enabled":true}"#).await;
    let came = bench.endpoint.wait_for(1).await;
    assert_eq!(came[0].text("subject"), "task/a");
    bench.webhooks.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_the_setting_names_needs_no_challenge() {
    let bench = Bench::start(quick()).await;
    bench.endpoint.answer(|came| {
        let asked = came.text("type") == "dev.syncline.webhook.verification";
        (if asked { 500 } else { 200 }, String::new())
    });
    let made = bench.make("").await;
    bench.set("task/a", 1).await;
    let came = bench.endpoint.wait_for(1).await;
    assert_eq!(came[0].text("subject"), "task/a");
    let all = bench.endpoint.came.lock().unwrap().len();
    assert_eq!(all, 1, "nothing but the event came");
    assert!(bench.shown(&made.id).await.standing.proved);
    bench.webhooks.stop().await;
}

#[tokio::test]
async fn what_is_given_up_is_listed_and_sent_again() {
    let bench = Bench::start(quick()).await;
    bench
        .endpoint
        .answer(willing(|came| match came.text("subject") {
            "task/bad" => 500,
            _ => 200,
        }));
    let made = bench.make("").await;
    bench.set("task/bad", 1).await;
    bench.set("task/good", 2).await;
    bench
        .wait_until(&made.id, |shown| shown.standing.state.dead == 1)
        .await;
    let principal = Principal::owner();
    let (letters, next) = bench
        .webhooks
        .dead(&bench.workspace, &principal, &made.id, (None, 10))
        .await
        .unwrap();
    assert_eq!((letters.len(), next), (1, None));
    let letter = &letters[0].event;
    assert_eq!(letter.context, Some(address("task/bad")));
    assert_eq!(letter.attempts, 4);
    let attempts = bench
        .webhooks
        .attempts(&bench.workspace, &principal, &made.id);
    let attempts = attempts.await.unwrap();
    assert_eq!(attempts.len(), 5);
    let failed = attempts
        .iter()
        .filter(|logged| matches!(logged.end, End::Failed(_)));
    assert_eq!(failed.count(), 4);
    let counts = bench.webhooks.counts();
    assert_eq!((counts[0].letters, counts[0].retried), (1, 3));
    let before = bench.endpoint.events();
    bench.endpoint.answer(willing(|_| 200));
    assert_eq!(bench.replay(&made.id, r#"{"dead":true}"#).await, 1);
    let came = bench.endpoint.wait_for(before.len() + 1).await;
    assert_eq!(
        came.last().unwrap().header("webhook-id"),
        letter.id.to_string()
    );
    bench
        .wait_until(&made.id, |shown| shown.standing.outstanding == 0)
        .await;
    let dead = bench
        .webhooks
        .dead(&bench.workspace, &principal, &made.id, (None, 10));
    assert!(dead.await.unwrap().0.is_empty());
    assert_eq!(bench.webhooks.counts()[0].letters, 0);
    // One by its id, and all after a place.
    let one = format!(r#"{{"change":"{}"}}"#, letter.id);
    assert_eq!(bench.replay(&made.id, &one).await, 1);
    let came = bench.endpoint.wait_for(before.len() + 2).await;
    assert_eq!(came.last().unwrap().text("subject"), "task/bad");
    bench
        .wait_until(&made.id, |shown| shown.standing.outstanding == 0)
        .await;
    let cursor = came[0].event.get("data").unwrap().get("cursor").unwrap();
    let range = format!(r#"{{"after":{}}}"#, cursor.to_text());
    bench.replay(&made.id, &range).await;
    let came = bench.endpoint.wait_for(before.len() + 3).await;
    assert_eq!(came.last().unwrap().text("subject"), "task/good");
    // All from a time on.
    bench
        .wait_until(&made.id, |shown| shown.standing.outstanding == 0)
        .await;
    let sent = bench.endpoint.events().len();
    let since = r#"{"since":"1970-01-01T00:00:00Z"}"#;
    bench.replay(&made.id, since).await;
    let came = bench.endpoint.wait_for(sent + 3).await;
    let mut again: Vec<_> = came[sent..].iter().map(|e| e.text("subject")).collect();
    again.sort_unstable();
    assert_eq!(again, ["global/main", "task/bad", "task/good"]);
    bench.webhooks.stop().await;
}

#[tokio::test]
async fn what_is_not_sent_after_all_is_logged_with_the_reason() {
    let policy = Policy {
        delays: vec![Duration::ZERO, Duration::from_millis(500)],
        ..quick()
    };
    let bench = Bench::start(policy).await;
    bench.endpoint.answer(willing(|_| 500));
    let made = bench.make(TASKS).await;
    bench.set("task/a", 1).await;
    bench
        .wait_until(&made.id, |shown| shown.standing.state.failed == 1)
        .await;
    // It waits for its second attempt, and is not wanted any more.
    let filter = r#"{"filter":{"exact":{"kind":"note"}}}"#;
    bench.change(&made.id, filter).await;
    bench
        .wait_until(&made.id, |shown| shown.standing.outstanding == 0)
        .await;
    let principal = Principal::owner();
    let attempts = bench
        .webhooks
        .attempts(&bench.workspace, &principal, &made.id);
    let attempts = attempts.await.unwrap();
    let skipped = End::Skipped("the filter does not let it pass");
    assert_eq!(attempts[0].end, skipped);
    bench.webhooks.stop().await;
}

#[tokio::test]
async fn dead_letters_are_counted_after_a_restart_too() {
    let bench = Bench::start(quick()).await;
    bench.endpoint.answer(willing(|_| 500));
    let made = bench.make(TASKS).await;
    bench.set("task/a", 1).await;
    bench
        .wait_until(&made.id, |shown| shown.standing.state.dead == 1)
        .await;
    bench.webhooks.stop().await;
    let again = webhooks(&bench.engine, quick());
    for _ in 0..500 {
        if let Some(counts) = again.counts().first() {
            assert_eq!((counts.letters, counts.status), (1, "failing"));
            return again.stop().await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the webhook is not at work");
}

#[tokio::test]
async fn a_node_that_starts_again_goes_on_where_it_was() {
    let policy = Policy {
        delays: vec![Duration::ZERO, Duration::from_millis(800), Duration::ZERO],
        ..quick()
    };
    let bench = Bench::start(policy.clone()).await;
    bench.endpoint.answer(willing(|_| 503));
    let made = bench.make("").await;
    for n in 0..4 {
        bench.set("task/a", n).await;
    }
    let came = bench.endpoint.wait_for(1).await;
    bench.webhooks.stop().await;
    bench.set("task/a", 4).await;
    bench.endpoint.answer(willing(|_| 200));
    let again = webhooks(&bench.engine, policy);
    let all = bench.endpoint.wait_for(came.len() + 5).await;
    let later: Vec<_> = all[came.len()..].iter().map(Came::about).collect();
    assert_eq!(
        all[came.len()].header("webhook-id"),
        came[0].header("webhook-id")
    );
    let subjects = later.iter().filter(|about| about.starts_with("task/a"));
    assert_eq!(subjects.count(), 5, "{later:?}");
    let ids: std::collections::HashSet<_> = all.iter().map(|came| came.text("id")).collect();
    assert_eq!(ids.len(), 5);
    let _ = made;
    again.stop().await;
}

#[tokio::test]
async fn gone_disables_until_its_owner_enables() {
    let bench = Bench::start(quick()).await;
    bench.endpoint.answer(willing(|_| 410));
    let made = bench.make("").await;
    bench.set("task/a", 1).await;
    let gone = |shown: &Shown| shown.standing.state.disabled.is_some();
    let shown = bench.wait_until(&made.id, gone).await;
    let trouble = shown.standing.trouble(&shown.definition, Timestamp(0));
    let trouble = trouble.unwrap();
    assert!(trouble.starts_with("disabled since 20"), "{trouble}");
    assert!(trouble.ends_with("410 Gone"), "{trouble}");
    // One that cannot read on says that as well (P10).
    let mut stuck = shown.standing.clone();
    stuck.state.disabled = None;
    stuck.stuck = Some((Timestamp(0), "a record is rotten".to_owned()));
    assert_eq!(stuck.word(&shown.definition, Timestamp(0)), "stuck");
    let trouble = stuck.trouble(&shown.definition, Timestamp(0)).unwrap();
    assert!(trouble.ends_with("a record is rotten"), "{trouble}");
    bench.set("task/a", 2).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(bench.endpoint.events().len(), 1);
    bench.endpoint.answer(willing(|_| 204));
    // A change that is refused calls nobody.
    let refused = bench.try_change(&made.id, r#"{"enabled":true}"#, Precondition::NoneMatchAny);
    assert_eq!(refused.await.unwrap_err().code, Code::PreconditionFailed);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(gone(&bench.shown(&made.id).await));
    assert_eq!(bench.endpoint.events().len(), 1);
    bench.change(&made.id, r#"{"enabled":true}"#).await;
    bench.endpoint.wait_for(3).await;
    // By its owner's word, too; what happens meanwhile comes later.
    bench.change(&made.id, r#"{"enabled":false}"#).await;
    bench.set("task/a", 3).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let before = bench.endpoint.events().len();
    bench
        .change(&made.id, r#"{"enabled":true,"description":"again"}"#)
        .await;
    let came = bench.endpoint.wait_for(before + 1).await;
    assert!(came.iter().any(|came| came.about().contains('3')));
    bench.webhooks.stop().await;
}

#[tokio::test]
async fn two_secrets_sign_while_one_takes_the_other_s_place() {
    let bench = Bench::start(quick()).await;
    let made = bench
        .make(r#","secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw""#)
        .await;
    let old = made.secret.unwrap().reveal();
    assert_eq!(old, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    bench.set("task/a", 1).await;
    bench.endpoint.wait_for(1).await;
    let principal = Principal::owner();
    let rotated = bench
        .webhooks
        .rotate(&bench.workspace, &principal, &made.id, None);
    let new = rotated.await.unwrap().newest.reveal();
    assert_ne!(old, new);
    bench.set("task/a", 2).await;
    let came = bench.endpoint.wait_for(2).await;
    assert_eq!(came[1].header("webhook-signature").split(' ').count(), 2);
    for secret in [&old, &new] {
        let library = standardwebhooks::Webhook::new(secret).unwrap();
        library
            .verify(came[1].body.as_bytes(), &came[1].headers)
            .unwrap();
    }
    bench.webhooks.stop().await;
}

#[tokio::test]
async fn what_comes_in_goes_out_or_is_too_large_is_told_in_its_way() {
    let bench = Bench::start(quick()).await;
    bench.write("project/p", Operation::Create, "{}").await;
    bench.set("task/a", 1).await;
    let made = bench.make(r#","scope":[{"label":{"area":"x"}}]"#).await;
    bench.set("task/a", 2).await;
    bench
        .write("task/a", Operation::Merge, r#"{"labels":{"area":"x"}}"#)
        .await;
    let large = "y".repeat(30_000);
    let body = format!(r#"{{"data":{{"text":"{large}"}}}}"#);
    bench.write("task/a", Operation::Merge, &body).await;
    bench
        .write("task/a", Operation::Merge, r#"{"labels":{"area":null}}"#)
        .await;
    bench.set("task/a", 3).await;
    let came = bench.endpoint.wait_for(3).await;
    let types: Vec<_> = came.iter().map(|came| came.text("type")).collect();
    assert_eq!(
        types,
        [
            "dev.syncline.context.entered",
            "dev.syncline.context.updated",
            "dev.syncline.context.left"
        ]
    );
    let data = |at: usize| came[at].event.get("data").unwrap();
    let entered = data(0).get("context").unwrap();
    assert_eq!(entered.get("data").unwrap().to_text(), r#"{"n":2}"#);
    assert_eq!(data(1).get("enc").and_then(Json::as_str), Some("thin"));
    assert!(came[1].body.len() < 2_000);
    assert_eq!(data(2).to_text(), r#"{"context":"task/a","type":"leave"}"#);
    bench
        .wait_until(&made.id, |shown| shown.standing.behind == 0)
        .await;
    assert_eq!(bench.endpoint.events().len(), 3);
    bench.webhooks.stop().await;
}

#[tokio::test]
async fn webhooks_are_checked_bounded_tested_and_removed() {
    let bench = Bench::start(quick()).await;
    let principal = Principal::owner();
    for (text, pointer) in [
        (r#"{"url":"http://127.0.0.2/"}"#, "/url"),
        (r#"{"url":"http://169.254.169.254/latest"}"#, "/url"),
        (r#"{"url":"ftp://example.com/"}"#, "/url"),
        (r#"{"url":"https://user@example.com/"}"#, "/url"),
    ] {
        let wanted = Wanted::read(&json(text), true).unwrap();
        let proposal = bench.proposal("task/any", Operation::Create, "{}");
        let made = bench
            .webhooks
            .create(&bench.workspace, &principal, wanted, proposal);
        let problem = made.await.unwrap_err();
        assert_eq!(problem.code, Code::Invalid, "{text}");
        assert_eq!(problem.pointer.unwrap().to_string(), pointer, "{text}");
    }
    for text in [
        "{}",
        "[]",
        r#"{"url":1}"#,
        r#"{"url":"x","secret":"short"}"#,
        r#"{"url":"x","ulr":"y"}"#,
    ] {
        assert!(Wanted::read(&json(text), true).is_err(), "{text}");
    }
    assert!(
        Wanted::read(&json(r#"{"secret":"x"}"#), false).is_err(),
        "rotate makes secrets"
    );
    let made = bench.make(TASKS).await;
    let told = bench.webhooks.test(&bench.workspace, &principal, &made.id);
    assert_eq!(told.await.unwrap(), Ok(200));
    bench
        .endpoint
        .answer(|_| (418, "a secret inside".to_owned()));
    let told = bench.webhooks.test(&bench.workspace, &principal, &made.id);
    assert_eq!(
        told.await.unwrap(),
        Ok(418),
        "a status, and nothing of the body"
    );
    bench.endpoint.answer(willing(|_| 200));
    bench.set("task/a", 1).await;
    bench.endpoint.wait_for(1).await;
    let proposal = bench.proposal("task/any", Operation::Delete, "null");
    let removed = bench
        .webhooks
        .remove(&bench.workspace, &principal, &made.id, proposal);
    removed.await.unwrap();
    bench.set("task/a", 2).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(bench.endpoint.events().len(), 1);
    let found = bench
        .webhooks
        .get(&bench.workspace, &principal, &made.id)
        .await;
    assert_eq!(found.unwrap_err().code, Code::NotFound);
    let attempts = syncline_delivery::webhook::rows::attempts(&bench.workspace, &made.id);
    assert!(attempts.await.unwrap().is_empty(), "nothing of it is kept");
    bench.webhooks.stop().await;
}

#[tokio::test]
async fn p5_a_bulk_that_takes_others_along_is_told_once_and_what_follows_comes() {
    let bench = Bench::start(quick()).await;
    bench.endpoint.answer(willing(|_| 204));
    for project in ["project/p", "project/q"] {
        bench.write(project, Operation::Create, "{}").await;
    }
    let within = |parent: &str| format!(r#"{{"parent":"{parent}"}}"#);
    let create = Operation::Create;
    for (context, parent) in [
        ("branch/b", "project/p"),
        ("task/t", "branch/b"),
        ("note/n", "project/p"),
    ] {
        bench.write(context, create, &within(parent)).await;
    }
    let made = bench.make(r#","scope":[{"subtree":"project/p"}]"#).await;
    let start = bench.workspace.seal(&bench.workspace.tail());
    let parts = vec![
        bench.proposal("note/n", Operation::Merge, r#"{"data":{"n":1}}"#),
        bench.proposal("branch/b", Operation::Merge, &within("project/q")),
        bench.proposal("note/n", Operation::Merge, r#"{"data":{"n":2}}"#),
    ];
    let (owner, mode) = (Principal::owner(), BulkMode::Independent);
    let bulk = bench.workspace.submit_bulk(&owner, mode, None, parts);
    bulk.await.unwrap();
    bench.set("note/n", 3).await;
    let came = bench.endpoint.wait_for(3).await;
    let numbers = |came: &[Came]| -> Vec<bool> {
        let told = came.iter().zip(["1", "2", "3"]);
        told.map(|(came, n)| came.about().contains(n)).collect()
    };
    assert_eq!(numbers(&came), [true; 3]);
    let all = |shown: &Shown| shown.standing.outstanding == 0 && shown.standing.behind == 0;
    bench.wait_until(&made.id, all).await;
    assert_eq!(bench.endpoint.resets(), 1);
    // Nor does sending it again end there.
    let again = format!(r#"{{"after":"{start}"}}"#);
    bench.replay(&made.id, &again).await;
    let came = bench.endpoint.wait_for(6).await;
    assert_eq!(numbers(&came[3..]), [true; 3]);
    bench.webhooks.stop().await;
}

#[tokio::test]
async fn what_was_just_made_or_changed_is_at_work() {
    let bench = Bench::start(quick()).await;
    bench.endpoint.answer(willing(|_| 204));
    let owner = Principal::owner();
    let other = Endpoint::start().await;
    other.answer(willing(|_| 200));
    for round in 0..5 {
        let made = bench.make("").await;
        let test = async || {
            let tested = bench.webhooks.test(&bench.workspace, &owner, &made.id);
            tested.await.unwrap()
        };
        assert_eq!(test().await, Ok(204), "round {round}");
        let moved = format!(r#"{{"url":"{}"}}"#, other.url());
        bench.change(&made.id, &moved).await;
        assert_eq!(test().await, Ok(200), "it goes by its new definition");
        bench.change(&made.id, r#"{"enabled":false}"#).await;
        bench.change(&made.id, r#"{"enabled":true}"#).await;
        bench.replay(&made.id, r#"{"dead":true}"#).await;
        assert_eq!(test().await, Ok(200));
    }
    bench.webhooks.stop().await;
}

#[tokio::test]
async fn p5_what_was_compacted_while_it_waited_is_told_as_one_reset() {
    let (clock, node) = forgetful().await;
    let bench = Bench {
        workspace: node.workspace.clone(),
        webhooks: webhooks(&node.engine, quick()),
        engine: node.engine.clone(),
        endpoint: Endpoint::start().await,
    };
    bench.endpoint.answer(willing(|_| 503));
    let made = bench.make(r#","scope":[{"context":"task/old"}]"#).await;
    grow_old(&node).await;
    let waits = |shown: &Shown| shown.standing.outstanding == 3 && shown.standing.in_flight == 0;
    bench.wait_until(&made.id, waits).await;
    let failed = bench.endpoint.wait_for(1).await.len();
    bench.webhooks.stop().await;
    compact(&clock, &node).await;
    bench.endpoint.answer(willing(|_| 200));
    let bench = Bench {
        webhooks: webhooks(&bench.engine, quick()),
        ..bench
    };
    let all = |shown: &Shown| shown.standing.outstanding == 0 && shown.standing.behind == 0;
    bench.wait_until(&made.id, all).await;
    let came = bench.endpoint.events();
    assert_eq!(came.len(), failed + 1, "of four versions one can be told");
    let is_told = async {
        while bench.endpoint.resets() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(10), is_told).await;
    told.expect("the reset comes");
    bench.wait_until(&made.id, all).await;
    assert_eq!(bench.endpoint.resets(), 1);
    bench.webhooks.stop().await;
}
