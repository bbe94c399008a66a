//! `cargo xtask merges`: merges that people made, made again, beside what git and people did.
//!
//! Each row of the data has three sides and what was committed. Agreement is counted, not
//! demanded: a commit may hold further edits, and some lost data.

mod explain;
mod row;
mod tracker;

use row::{Row, rows};
use syncline_merge::{MergeLimits, MergeRules, Merged, Side, Sides, merge};
use syncline_model::json::{Json, Object};

use crate::data;
use crate::run::Result;

/// What to merge, and how to say it.
#[derive(clap::Args)]
pub struct Arguments {
    /// Sets by name; all, if none is named.
    sets: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print each disagreement: the path, what we did, what people did.
    #[arg(long)]
    explain: bool,
}

/// The figures of one set.
#[derive(Default)]
struct Figures {
    set: String,
    rows: usize,
    /// Merged without a clash.
    clean: usize,
    clashes: usize,
    equal: usize,
    /// Rows that git merged without a conflict; none in sets without git's figures.
    git_clean: Option<usize>,
    git_equal: usize,
    /// Rows that git merged cleanly and we merged to what was committed.
    equal_where_git_clean: usize,
    /// Entries of either side that a merge lost, for trackers.
    lost: Option<usize>,
}

/// Merges the sets and prints their figures.
pub fn run(arguments: &Arguments) -> Result {
    let mut all = Vec::new();
    for (set, path) in data::sets("merges", &arguments.sets)? {
        let mut figures = Figures {
            set,
            ..Figures::default()
        };
        for row in rows(&path)? {
            let row = row?;
            let merged = merged(&row);
            figures.count(&row, &merged);
            if arguments.explain {
                explain::row(&figures.set, &row, &merged);
            }
        }
        all.push(figures);
    }
    match arguments.json {
        true => println!(
            "{}",
            all.iter()
                .map(Figures::to_json)
                .collect::<Json>()
                .to_pretty()
        ),
        false => print_table(&all),
    }
    match all.iter().filter(|figures| !figures.is_reached()).count() {
        0 => Ok(()),
        missed => Err(format!("{missed} sets are not where they should be")),
    }
}

/// What git calls ours is the line that was merged into: the head.
fn merged(row: &Row) -> Merged {
    let sides = Sides {
        base: Some(&row.base),
        ours: Some(&row.theirs),
        theirs: Some(&row.ours),
        earlier: Side::Theirs,
    };
    merge(sides, &MergeRules::default(), &MergeLimits::default())
}

impl Figures {
    fn count(&mut self, row: &Row, merged: &Merged) {
        let is_equal = merged.is_clean() && merged.value.as_ref() == Some(&row.merged);
        self.rows += 1;
        self.clean += usize::from(merged.is_clean());
        self.clashes += merged.clashes().count();
        self.equal += usize::from(is_equal);
        if let Some(conflicts) = row.git_conflicts {
            *self.git_clean.get_or_insert(0) += usize::from(conflicts == 0);
            self.git_equal += usize::from(conflicts == 0 && row.git_equals_merged);
            self.equal_where_git_clean += usize::from(conflicts == 0 && is_equal);
        } else {
            *self.lost.get_or_insert(0) += tracker::lost(row, merged);
        }
    }

    /// Fewer merges with a clash than git, and where git merges cleanly, as often what people
    /// committed; without git's figures, nothing lost.
    fn is_reached(&self) -> bool {
        let beats_git = self.git_clean.is_none_or(|git_clean| {
            self.clean > git_clean && self.equal_where_git_clean >= self.git_equal
        });
        beats_git && self.lost.unwrap_or(0) == 0
    }

    fn to_json(&self) -> Json {
        let mut members = Object::new();
        members.insert("set", Json::from(self.set.as_str()));
        members.insert("rows", Json::from(self.rows));
        members.insert("clean", Json::from(self.clean));
        members.insert("clashes", Json::from(self.clashes));
        members.insert("equal", Json::from(self.equal));
        members.insert("reached", Json::from(self.is_reached()));
        if let Some(git_clean) = self.git_clean {
            members.insert("git_clean", Json::from(git_clean));
            members.insert("git_equal", Json::from(self.git_equal));
            members.insert(
                "equal_where_git_clean",
                Json::from(self.equal_where_git_clean),
            );
        }
        if let Some(lost) = self.lost {
            members.insert("lost", Json::from(lost));
        }
        Json::from(members)
    }
}

fn print_table(all: &[Figures]) {
    println!(
        "{:<18} {:>5} {:>14} {:>8} {:>7} {:>6} | where git is clean: {:>4} {:>5} {:>5} | {:>5}",
        "set", "rows", "with a clash", "of git", "clashes", "equal", "rows", "git", "we", "lost"
    );
    for figures in all {
        let or_dash = |number: Option<usize>| number.map_or("-".to_owned(), |n| n.to_string());
        let git = figures.git_clean;
        println!(
            "{:<18} {:>5} {:>14} {:>8} {:>7} {:>6} | {:>24} {:>5} {:>5} | {:>5}{}",
            figures.set,
            figures.rows,
            figures.rows - figures.clean,
            or_dash(git.map(|clean| figures.rows - clean)),
            figures.clashes,
            figures.equal,
            or_dash(git),
            or_dash(git.map(|_| figures.git_equal)),
            or_dash(git.map(|_| figures.equal_where_git_clean)),
            or_dash(figures.lost),
            if figures.is_reached() { "" } else { "  MISSED" },
        );
    }
}
