//! Hand-written records: a clean run, and one broken run for each rule.

use super::*;
use crate::torture::fact::Fact;
use crate::torture::record::{After, Closed, Outcome, Scope, Via};
use crate::torture::worker::page_text;

/// Records by file.
#[derive(Clone, Default)]
struct Written(Vec<(&'static str, Vec<Record>)>);

impl Records for Written {
    fn each(&self, take: &mut dyn FnMut(&RecordPosition, &Line)) -> anyhow::Result<()> {
        for (file, records) in &self.0 {
            for (line, record) in (1..).zip(records) {
                let place = RecordPosition { file: (*file).into(), line };
                take(&place, &Line { n: line, t: 0, record: record.clone() });
            }
        }
        Ok(())
    }
}

impl Written {
    fn file(&mut self, name: &str) -> &mut Vec<Record> {
        self.0.iter_mut().find(|(file, _)| *file == name).map(|(_, records)| records).unwrap()
    }

    /// Changes the facts of a file that this is about.
    fn change(&mut self, name: &str, rev: i64, change: impl Fn(&mut Fact)) {
        for record in self.file(name) {
            if let Record::Heard { fact, .. } = record
                && fact.rev == rev
            {
                change(fact);
            }
        }
    }

    fn change_everywhere(&mut self, rev: i64, change: impl Fn(&mut Fact)) {
        ["watch", "audit"].into_iter().for_each(|name| self.change(name, rev, &change));
    }

    fn index(&mut self, name: &str, rev: i64) -> usize {
        let is = |record: &Record| matches!(record, Record::Heard { fact, .. } if fact.rev == rev);
        self.file(name).iter().position(is).unwrap()
    }

    fn broken(&self) -> Vec<Rule> {
        let report = verify(self).unwrap();
        report.counts.keys().copied().collect()
    }
}

fn fact(rev: i64, ev: &str, st: &str, att: i32, done: i32) -> Fact {
    let (own, doc, job) = ("ann".to_owned(), "d".to_owned(), "J".to_owned());
    let pct = match st {
        "running" => 50 + i64::from(done),
        "succeeded" => 1000,
        _ => 0,
    };
    let dig = rev.unsigned_abs();
    Fact { rev, ev: ev.to_owned(), st: st.to_owned(), att, done, own, doc, job, pct, dig, ..Fact::default() }
}

fn story() -> Vec<Fact> {
    let page = |rev, number: i32| Fact { of: number.to_string(), by: 1, ..fact(rev, "page", "running", 1, number) };
    vec![
        fact(10, "queued", "queued", 0, 0),
        Fact { who: "w1".to_owned(), ..fact(11, "started", "running", 1, 0) },
        fact(13, "planned", "running", 1, 0),
        page(14, 1),
        page(15, 2),
        Fact { by: 1, ..fact(17, "completed", "succeeded", 1, 2) },
    ]
}

fn open(seg: u64, after: After, last: bool) -> Record {
    let (user, scope) = ("ann".to_owned(), Scope::Owner("ann".to_owned()));
    Record::Open { seg, user, scope, via: Via::Grpc, after, last }
}

fn heard(seg: u64, facts: &[Fact]) -> impl Iterator<Item = Record> {
    facts.iter().map(move |fact| Record::Heard { seg, fact: fact.clone() })
}

/// A report of attempt 1.
fn reported(ev: &str, of: &str, beats: u64) -> Record {
    let (worker, job, part) = ("w1".to_owned(), "J".to_owned(), String::new());
    Record::Reported { worker, session: 5, job, att: 1, part, beats, ev: ev.to_owned(), of: of.to_owned() }
}

/// What the worker of the job saw.
fn work() -> Vec<Record> {
    let (worker, job) = (|| "w1".to_owned(), || "J".to_owned());
    vec![
        Record::Assigned { worker: worker(), session: 5, job: job(), att: 1 },
        Record::Wrote { worker: worker(), job: job(), att: 1, of: "txt".to_owned(), sha: "abc".to_owned() },
        reported("page", "2", 2),
        Record::Beat { worker: worker(), session: 5, beats: 3 },
        Record::Late { worker: worker(), session: 5, job: job(), att: 1, part: String::new(), beats: 3 },
        Record::LeaseLost { worker: worker(), session: 5, job: job(), att: 1, part: String::new() },
        Record::Beat { worker: worker(), session: 5, beats: 4 },
    ]
}

/// One job, heard in two parts by a watcher, worked on by one worker, and read once more at the end.
fn clean() -> Written {
    let story = story();
    let mut watch = vec![open(1, After::Submit("J".to_owned()), false)];
    watch.extend(heard(1, &story[..3]));
    watch.extend([Record::Closed { seg: 1, how: Closed::Lost }, open(2, After::Event(13), false)]);
    watch.extend(heard(2, &story[3..5]));
    watch.extend([
        Record::News { seg: 2, job: "J".to_owned(), att: 1, pct: 60 },
        Record::Bookmark { seg: 2 },
        Record::Closed { seg: 2, how: Closed::Left },
        open(3, After::Mark(15), true),
    ]);
    watch.extend(heard(3, &story[5..]));
    watch.extend([Record::Live { seg: 3 }, Record::Closed { seg: 3, how: Closed::Left }]);
    let (user, scope) = ("ann".to_owned(), Scope::Job("J".to_owned()));
    let after = After::Submit("J".to_owned());
    let mut audit = vec![Record::Open { seg: 9, user, scope, via: Via::Grpc, after, last: true }];
    audit.extend(heard(9, &story));
    audit.extend([Record::Live { seg: 9 }, Record::Closed { seg: 9, how: Closed::Ended }]);
    let job = || "J".to_owned();
    let read = |rev: usize| {
        let (user, call) = ("ann".to_owned(), "get".to_owned());
        Record::Read { user, via: Via::Http, call, server: Some(0), fact: story[rev].clone() }
    };
    let (user, request) = (|| "ann".to_owned(), || "r1".to_owned());
    let submit = |outcome, job: &str| Record::Submit {
        user: user(),
        request: request(),
        via: Via::Grpc,
        outcome,
        job: job.to_owned(),
        sha: "def".to_owned(),
    };
    let probe = Outcome::Refused("JOB_NOT_FOUND".to_owned());
    let calls = vec![
        submit(Outcome::Unknown, ""),
        submit(Outcome::Done, "J"),
        submit(Outcome::Done, "J"),
        Record::Misused {
            user: user(),
            request: request(),
            outcome: Outcome::Refused("REQUEST_ID_MISMATCH".to_owned()),
        },
        Record::Probe { user: "bob".to_owned(), via: Via::Grpc, call: "get".to_owned(), job: job(), outcome: probe },
        read(2),
        read(4),
        Record::Document { user: user(), job: job(), read: "def".to_owned() },
        Record::Page { user: user(), job: job(), page: 1, att: 1, read: page_text(1) },
        Record::Result {
            user: user(),
            via: Via::Grpc,
            job: job(),
            of: "txt".to_owned(),
            promised: "abc".to_owned(),
            read: "abc".to_owned(),
        },
    ];
    let run = vec![Record::Begin { seed: 1, seconds: 1, cluster: false }, Record::End];
    Written(vec![("audit", audit), ("calls", calls), ("run", run), ("watch", watch), ("worker", work())])
}

#[test]
fn a_clean_run_has_no_violation() {
    let report = verify(&clean()).unwrap();
    assert_eq!(report.violations, []);
    assert_eq!((report.seen.jobs, report.seen.events, report.seen.watches), (1, 6, 4));
}

#[test]
fn order_and_doubles() {
    let mut late = clean();
    let at = late.index("watch", 14);
    late.file("watch").swap(at, at + 1);
    assert_eq!(late.broken(), [Rule::Ordered]);

    let mut twice = clean();
    let at = twice.index("watch", 14);
    let again = twice.file("watch")[at].clone();
    twice.file("watch").insert(at + 1, again);
    assert_eq!(twice.broken(), [Rule::Unique]);

    let mut renumbered = clean();
    let again = Fact { rev: 16, dig: 16, ..story()[4].clone() };
    for (file, seg) in [("watch", 2), ("audit", 9)] {
        let at = renumbered.index(file, 15);
        renumbered.file(file).insert(at + 1, Record::Heard { seg, fact: again.clone() });
    }
    // The next watch goes on after it.
    for record in renumbered.file("watch") {
        if let Record::Open { after, .. } = record
            && *after == After::Mark(15)
        {
            *after = After::Mark(16);
        }
    }
    assert_eq!(renumbered.broken(), [Rule::Unique]);
}

#[test]
fn a_hole_is_named_after_where_it_is() {
    for (rev, rule) in [
        (10, Rule::Atomic),
        (13, Rule::Resumable),
        (14, Rule::Resumable),
        (17, Rule::Bookmarkable),
        (11, Rule::Reliable),
    ] {
        let mut written = clean();
        let at = written.index("watch", rev);
        written.file("watch").remove(at);
        if rev == 13 {
            // It was not heard, so the watch went on from the one before, and did not hear it either.
            written.file("watch").iter_mut().for_each(|record| {
                if let Record::Open { after, .. } = record
                    && *after == After::Event(13)
                {
                    *after = After::Event(11);
                }
            });
        }
        assert_eq!(written.broken(), [rule], "{rev}");
    }
}

#[test]
fn nothing_is_asked_of_what_a_watch_did_not_reach() {
    let mut written = clean();
    let at = written.index("watch", 15);
    written.file("watch").truncate(at);
    assert_eq!(written.broken(), []);
}

#[test]
fn content_and_history() {
    let mut other = clean();
    other.change("watch", 14, |fact| fact.dig = 7);
    assert_eq!(other.broken(), [Rule::SameContent]);

    let mut unkept = clean();
    unkept.change("watch", 15, |fact| fact.rev = 16);
    assert!(unkept.broken().contains(&Rule::Durable));
}

#[test]
fn submits() {
    let mut lost = clean();
    let of_nobody = Record::Submit {
        user: "ann".to_owned(),
        request: "r2".to_owned(),
        via: Via::Http,
        outcome: Outcome::Done,
        job: "K".to_owned(),
        sha: "def".to_owned(),
    };
    lost.file("calls").push(of_nobody.clone());
    assert_eq!(lost.broken(), [Rule::Acknowledged]);

    let mut two = clean();
    let Record::Submit { user, via, outcome, sha, .. } = of_nobody else { unreachable!() };
    two.file("calls").push(Record::Submit { user, request: "r2".to_owned(), via, outcome, job: "J".to_owned(), sha });
    assert_eq!(two.broken(), [Rule::SameRequest]);

    let mut misused = clean();
    let (user, request, outcome) = ("ann".to_owned(), "r1".to_owned(), Outcome::Done);
    misused.file("calls").push(Record::Misused { user, request, outcome });
    assert_eq!(misused.broken(), [Rule::SameRequest]);
}

#[test]
fn attempts() {
    let mut twice = clean();
    let again = Record::Assigned { worker: "w2".to_owned(), session: 6, job: "J".to_owned(), att: 1 };
    twice.file("worker").insert(0, again);
    assert_eq!(twice.broken(), [Rule::OneAttempt]);

    let mut other = clean();
    other.change_everywhere(11, |fact| fact.who = "w2".to_owned());
    assert_eq!(other.broken(), [Rule::OneAttempt]);

    let mut part = clean();
    let given = |worker: &str| {
        let (worker, job, part) = (worker.to_owned(), "J".to_owned(), "P".to_owned());
        Record::Part { worker, session: 6, job, att: 1, part }
    };
    part.file("worker").insert(0, given("w2"));
    assert_eq!(part.broken(), []);
    part.file("worker").insert(0, given("w3"));
    assert_eq!(part.broken(), [Rule::OneAttempt]);

    let mut of_another_part = clean();
    let refused = of_another_part.file("worker").iter_mut().find_map(|record| match record {
        Record::LeaseLost { part, .. } => Some(part),
        _ => None,
    });
    *refused.unwrap() = "P".to_owned();
    assert_eq!(of_another_part.broken(), [Rule::Fenced]);

    let mut taken = clean();
    taken.file("worker").retain(|record| !matches!(record, Record::LeaseLost { .. }));
    assert_eq!(taken.broken(), [Rule::Fenced]);

    let mut traced = clean();
    traced.change_everywhere(15, |fact| fact.by = 2);
    assert_eq!(traced.broken(), [Rule::Fenced]);
}

#[test]
fn acknowledged_reports() {
    let with = |report: Record| {
        let mut run = clean();
        run.file("worker").insert(2, report);
        run.broken()
    };
    assert_eq!(with(reported("page", "3", 2)), [Rule::Reports]);
    assert_eq!(with(reported("export-completed", "txt", 2)), [Rule::Reports]);
    assert_eq!(with(reported("completed", "", 2)), []);
    assert_eq!(with(reported("page", "3", 3)), [], "it was refused before it was acknowledged");
    assert_eq!(with(reported("page", "3", 4)), [], "it was not acknowledged");
}

#[test]
fn the_life_of_a_job() {
    let mut illegal = clean();
    illegal.change_everywhere(13, |fact| fact.st = "queued".to_owned());
    assert!(illegal.broken().contains(&Rule::Legal));

    let mut after_the_end = clean();
    for (file, seg) in [("watch", 3), ("audit", 9)] {
        let at = after_the_end.index(file, 17);
        let fact = Fact { pct: 1000, ..fact(18, "failed", "failed", 1, 2) };
        after_the_end.file(file).insert(at + 1, Record::Heard { seg, fact });
    }
    assert_eq!(after_the_end.broken(), [Rule::Once]);

    let mut back = clean();
    back.change_everywhere(15, |fact| fact.pct = 10);
    assert_eq!(back.broken(), [Rule::Percent]);

    let mut news = clean();
    let at = news.index("watch", 15);
    news.file("watch").insert(at + 1, Record::News { seg: 2, job: "J".to_owned(), att: 1, pct: 10 });
    assert_eq!(news.broken(), [Rule::Percent]);

    let mut sum = clean();
    sum.change_everywhere(15, |fact| fact.zon = 3);
    assert!(sum.broken().contains(&Rule::Snapshot));

    let mut open = clean();
    for file in ["watch", "audit"] {
        let at = open.index(file, 17);
        open.file(file).remove(at);
    }
    assert!(open.broken().contains(&Rule::Ends));
}

#[test]
fn answers() {
    let mut old = clean();
    old.file("calls").swap(5, 6);
    assert_eq!(old.broken(), [Rule::Reads]);

    let mut wrong = clean();
    if let Record::Read { fact, .. } = &mut wrong.file("calls")[6] {
        fact.done = 9;
    }
    assert_eq!(wrong.broken(), [Rule::Reads]);

    let mut damaged = clean();
    if let Some(Record::Result { read, .. }) = damaged.file("calls").last_mut() {
        *read = "abd".to_owned();
    }
    assert_eq!(damaged.broken(), [Rule::Results]);

    let mut of_another = clean();
    of_another.file("calls").iter_mut().for_each(|record| match record {
        Record::Document { read, .. } => *read = "abd".to_owned(),
        Record::Page { read, .. } => *read = page_text(2),
        _ => {}
    });
    assert_eq!(of_another.broken(), [Rule::Acknowledged, Rule::Results]);

    let mut told = clean();
    if let Record::Probe { outcome, .. } = &mut told.file("calls")[4] {
        *outcome = Outcome::Refused("JOB_STATE".to_owned());
    }
    assert_eq!(told.broken(), [Rule::Isolated]);
}

fn removed(outcome: Outcome) -> Record {
    Record::Deleted { user: "ann".to_owned(), job: "J".to_owned(), outcome }
}

fn kept() -> Record {
    Record::Kept { user: "ann".to_owned(), job: "J".to_owned() }
}

fn batch(jobs: i32) -> Record {
    let (user, batch) = ("ann".to_owned(), String::new());
    Record::Batch { user, batch, counts: [jobs, jobs, 0, 0], complete: true }
}

#[test]
fn removals_are_settled_at_the_end() {
    let run = |records: &[Record]| {
        let mut run = clean();
        run.file("calls").extend_from_slice(records);
        run.broken()
    };
    assert_eq!(run(&[removed(Outcome::Done), kept()]), [Rule::Durable]);
    assert_eq!(run(&[removed(Outcome::Unknown), kept(), batch(1)]), []);
    assert_eq!(run(&[removed(Outcome::Unknown), kept(), batch(0)]), [Rule::Reads]);
    assert_eq!(run(&[removed(Outcome::Unknown), removed(Outcome::Done), batch(0)]), []);
    assert_eq!(run(&[removed(Outcome::Unknown), removed(Outcome::Done), batch(1)]), [Rule::Reads]);
}

#[test]
fn strangers_events_and_refused_cursors() {
    let mut leaked = clean();
    let mut watch = vec![Record::Open {
        seg: 20,
        user: "bob".to_owned(),
        scope: Scope::Owner("bob".to_owned()),
        via: Via::Ws,
        after: After::Nothing,
        last: false,
    }];
    watch.extend(heard(20, &story()[..1]));
    leaked.0.push(("watch-bob", watch));
    assert_eq!(leaked.broken(), [Rule::Isolated]);

    let mut refused = clean();
    let how = Closed::Refused("CURSOR_INVALID".to_owned());
    refused.file("watch").extend([open(21, After::Event(13), false), Record::Closed { seg: 21, how }]);
    assert_eq!(refused.broken(), [Rule::Resumable]);

    let mut gap = clean();
    let reason = "HISTORY_TRIMMED".to_owned();
    gap.file("watch").extend([open(22, After::Event(13), false), Record::Gap { seg: 22, reason }]);
    assert_eq!(gap.broken(), [Rule::Resumable]);
}

/// What the webhook of the job's owner was sent: id, revision, and whether that was received.
fn hooks(sent: &[(&str, i64, bool)]) -> Written {
    let hook = |(id, rev, received): &(&str, i64, bool)| Record::Hook {
        user: "ann".to_owned(),
        id: (*id).to_owned(),
        job: "J".to_owned(),
        owner: "ann".to_owned(),
        rev: *rev,
        signed: true,
        received: *received,
    };
    let mut run = clean();
    run.0.push(("webhooks", sent.iter().map(hook).collect()));
    run
}

#[test]
fn webhooks_receive_everything_in_order_and_again_under_the_same_id() {
    let all = [("a", 10, false), ("a", 10, true), ("b", 11, true), ("a", 10, true), ("c", 17, true)];
    assert_eq!(hooks(&all).broken(), []);
    let broken = |change: fn(&mut Vec<(&'static str, i64, bool)>)| {
        let mut sent = all.to_vec();
        change(&mut sent);
        hooks(&sent).broken()
    };
    assert_eq!(broken(|sent| sent.truncate(4)), [Rule::Webhooks], "the last is missing");
    assert_eq!(broken(|sent| sent[4].2 = false), [Rule::Webhooks], "the last was not received");
    assert_eq!(broken(|sent| sent.swap(2, 4)), [Rule::Webhooks], "out of order");
    assert_eq!(broken(|sent| sent[3].0 = "z"), [Rule::Webhooks], "again under another id");
    assert_eq!(broken(|sent| sent[4].0 = "a"), [Rule::Webhooks], "one id for two events");
    for (of, rule) in [("bob", Rule::Isolated), ("ann", Rule::Webhooks)] {
        let mut run = hooks(&all);
        if let Some(Record::Hook { owner, signed, .. }) = run.file("webhooks").last_mut() {
            *owner = of.to_owned();
            *signed = of == "bob";
        }
        assert_eq!(run.broken(), [rule]);
    }
}

#[test]
fn what_was_written_is_read_back() -> anyhow::Result<()> {
    let home = tempfile::TempDir::new()?;
    let folder = crate::torture::record::Folder::create(home.path())?;
    for (name, records) in clean().0 {
        let writer = folder.writer(name)?;
        records.into_iter().for_each(|record| writer.write(record));
        writer.flush()?;
    }
    let report = verify(&Kept(home.path()))?;
    assert_eq!((report.total(), report.seen.heard), (0, 12));
    Ok(())
}
