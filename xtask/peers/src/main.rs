//! Measures what CRDT libraries do where Syncline merges: two copies of a document are edited
//! apart, and one takes the other's edits in. Stdin has the documents, stdout the medians.
//!
//! Only taking in is timed, decoding included: copies and edits are made before. None of them
//! tells of clashes; where both edit one value they pick one.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use automerge::ReadDoc as _;
use automerge::transaction::Transactable as _;
use serde_json::{Value, json};
use yrs::updates::decoder::Decode as _;
use yrs::{Map as _, ReadTxn as _, Transact as _};

/// How often each is repeated; the median counts.
const REPEATS: usize = 301;

/// Two edits of one document: which steps get another status.
struct Case {
    base: Value,
    ours: Vec<(usize, String)>,
    theirs: Vec<(usize, String)>,
}

impl Case {
    fn read(json: &Value) -> Case {
        let edits = |side: &Value| {
            let steps =
                |document: &Value| document["steps"].as_array().cloned().unwrap_or_default();
            let pairs = steps(&json["base"])
                .into_iter()
                .zip(steps(side))
                .enumerate();
            let changed = pairs.filter(|(_, (before, after))| before != after);
            let status = |after: Value| after["status"].as_str().unwrap_or_default().to_owned();
            changed
                .map(|(at, (_, after))| (at, status(after)))
                .collect()
        };
        Case {
            base: json["base"].clone(),
            ours: edits(&json["ours"]),
            theirs: edits(&json["theirs"]),
        }
    }

    /// Panics unless a merged document has all edits: what is wrong is not measured.
    fn check(&self, merged: &Value) {
        for (at, status) in self.ours.iter().chain(&self.theirs) {
            assert_eq!(
                merged["steps"][*at]["status"].as_str(),
                Some(status.as_str())
            );
        }
    }
}

fn main() {
    let input = std::io::read_to_string(std::io::stdin()).expect("documents on stdin");
    let input: Value = serde_json::from_str(&input).expect("the documents are JSON");
    let case = Case::read(&input);
    let medians = json!({
        "yrs": median(|| yrs_once(&case)),
        "Loro": loro_median(&case),
        "Automerge": automerge_median(&case),
    });
    println!("{medians}");
}

/// Returns the median in microseconds, the first tenth left out.
fn median(mut once: impl FnMut() -> Duration) -> f64 {
    let mut times: Vec<_> = (0..REPEATS).map(|_| once()).skip(REPEATS / 10).collect();
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

fn yrs_value(value: &Value) -> yrs::In {
    match value {
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(key, value)| (key.as_str(), yrs_value(value)));
            yrs::MapPrelim::from_iter(members).into()
        }
        Value::Array(items) => yrs::ArrayPrelim::from_iter(items.iter().map(yrs_value)).into(),
        Value::String(text) => yrs::Any::from(text.as_str()).into(),
        Value::Number(number) => yrs::Any::from(number.as_f64().unwrap_or_default()).into(),
        Value::Bool(flag) => yrs::Any::from(*flag).into(),
        Value::Null => yrs::Any::Null.into(),
    }
}

fn yrs_of(update: &[u8], client: u64) -> yrs::Doc {
    let doc = yrs::Doc::with_client_id(client);
    doc.get_or_insert_map("doc");
    let update = yrs::Update::decode_v1(update).expect("an update of ours");
    doc.transact_mut()
        .apply_update(update)
        .expect("an update of ours");
    doc
}

fn yrs_edit(doc: &yrs::Doc, edits: &[(usize, String)]) {
    let root = doc.get_or_insert_map("doc");
    let mut txn = doc.transact_mut();
    let steps = root
        .get(&txn, "steps")
        .expect("steps")
        .cast::<yrs::ArrayRef>()
        .expect("a list");
    for (at, status) in edits {
        let at = u32::try_from(*at).expect("a small number");
        let step = yrs::Array::get(&steps, &txn, at).expect("a step");
        let step = step.cast::<yrs::MapRef>().expect("a map");
        step.insert(&mut txn, "status", status.as_str());
    }
}

fn yrs_once(case: &Case) -> Duration {
    let begin = yrs::Doc::with_client_id(1);
    let root = begin.get_or_insert_map("doc");
    for (key, value) in case.base.as_object().expect("an object") {
        root.insert(&mut begin.transact_mut(), key.as_str(), yrs_value(value));
    }
    let all = begin
        .transact()
        .encode_state_as_update_v1(&yrs::StateVector::default());
    let seen = begin.transact().state_vector();
    let (ours, theirs) = (yrs_of(&all, 2), yrs_of(&all, 3));
    yrs_edit(&ours, &case.ours);
    yrs_edit(&theirs, &case.theirs);
    let sent = theirs.transact().encode_diff_v1(&seen);
    let begun = Instant::now();
    let update = yrs::Update::decode_v1(black_box(&sent)).expect("an update of ours");
    ours.transact_mut()
        .apply_update(update)
        .expect("it applies");
    let took = begun.elapsed();
    let merged = yrs::types::ToJson::to_json(&ours.get_or_insert_map("doc"), &ours.transact());
    let mut text = String::new();
    merged.to_json(&mut text);
    case.check(&serde_json::from_str(&text).expect("it writes JSON"));
    took
}

fn loro_value(value: &Value) -> loro::LoroValue {
    loro::LoroValue::from(value.clone())
}

fn loro_edit(doc: &loro::LoroDoc, edits: &[(usize, String)]) {
    let steps = doc.get_list("steps");
    for (at, status) in edits {
        let step = steps
            .get(*at)
            .expect("a step")
            .into_container()
            .expect("a map");
        let step = step.into_map().expect("a map");
        step.insert("status", status.as_str())
            .expect("a key is set");
    }
    doc.commit();
}

fn loro_median(case: &Case) -> f64 {
    let base = loro::LoroDoc::new();
    for step in case.base["steps"].as_array().expect("steps") {
        let map = base
            .get_list("steps")
            .push_container(loro::LoroMap::new())
            .expect("a map");
        for (key, value) in step.as_object().expect("a step") {
            map.insert(key, loro_value(value)).expect("a key is set");
        }
    }
    for (key, value) in case.base.as_object().expect("an object") {
        if key != "steps" {
            base.get_map("doc")
                .insert(key, loro_value(value))
                .expect("a key is set");
        }
    }
    base.commit();
    let seen = base.oplog_vv();
    let (ours, theirs) = (base.fork(), base.fork());
    loro_edit(&ours, &case.ours);
    loro_edit(&theirs, &case.theirs);
    let sent = theirs
        .export(loro::ExportMode::updates(&seen))
        .expect("an update");
    median(|| {
        let into = ours.fork();
        let begun = Instant::now();
        into.import(black_box(&sent)).expect("it applies");
        let took = begun.elapsed();
        let merged = serde_json::to_value(into.get_deep_value()).expect("it writes JSON");
        case.check(&merged);
        took
    })
}

fn automerge_put(
    doc: &mut automerge::AutoCommit,
    into: &automerge::ObjId,
    key: automerge::Prop,
    value: &Value,
) {
    use automerge::ObjType;
    let list = matches!(key, automerge::Prop::Seq(_));
    let make = |doc: &mut automerge::AutoCommit, kind| match (&key, list) {
        (automerge::Prop::Seq(at), true) => doc.insert_object(into, *at, kind),
        _ => doc.put_object(into, key.clone(), kind),
    };
    match value {
        Value::Object(members) => {
            let made = make(doc, ObjType::Map).expect("a map");
            for (key, value) in members {
                automerge_put(doc, &made, key.as_str().into(), value);
            }
        }
        Value::Array(items) => {
            let made = make(doc, ObjType::List).expect("a list");
            for (at, value) in items.iter().enumerate() {
                automerge_put(doc, &made, at.into(), value);
            }
        }
        scalar => {
            let scalar: automerge::ScalarValue = match scalar {
                Value::String(text) => text.as_str().into(),
                Value::Number(number) => number.as_i64().unwrap_or_default().into(),
                Value::Bool(flag) => (*flag).into(),
                _ => automerge::ScalarValue::Null,
            };
            match (&key, list) {
                (automerge::Prop::Seq(at), true) => doc.insert(into, *at, scalar),
                _ => doc.put(into, key, scalar),
            }
            .expect("a value is put");
        }
    }
}

fn automerge_edit(doc: &mut automerge::AutoCommit, edits: &[(usize, String)]) {
    let (_, steps) = doc
        .get(automerge::ROOT, "steps")
        .expect("a document")
        .expect("steps");
    for (at, status) in edits {
        let (_, step) = doc.get(&steps, *at).expect("a list").expect("a step");
        doc.put(&step, "status", status.as_str())
            .expect("a value is put");
    }
    doc.commit();
}

fn automerge_median(case: &Case) -> f64 {
    let mut base = automerge::AutoCommit::new();
    let members: BTreeMap<_, _> = case.base.as_object().expect("an object").iter().collect();
    for (key, value) in members {
        automerge_put(&mut base, &automerge::ROOT, key.as_str().into(), value);
    }
    base.commit();
    let (mut ours, mut theirs) = (base.fork(), base.fork());
    automerge_edit(&mut ours, &case.ours);
    automerge_edit(&mut theirs, &case.theirs);
    median(|| {
        let mut into = ours.fork();
        let begun = Instant::now();
        into.merge(black_box(&mut theirs)).expect("it applies");
        let took = begun.elapsed();
        case.check(
            &serde_json::to_value(automerge::AutoSerde::from(&into)).expect("it writes JSON"),
        );
        took
    })
}
