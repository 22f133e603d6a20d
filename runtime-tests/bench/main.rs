//! krun against the floor and every peer that is installed.
//!
//! Each round runs every contender once, so that what else the machine does
//! hits all of them alike, and each one after every other one equally often:
//! what ran before has filled the caches. Medians over the rounds are compared.
//! `bench --help` lists the options. Needs root: everything happens in a mount
//! namespace of its own, on a tmpfs, with a pure cgroup v2 view.
#![allow(clippy::print_stderr)]

mod chart;
mod contender;
mod place;
mod profile;
mod report;
mod sample;
mod scenario;

use std::path::PathBuf;
use std::process::ExitCode;

use contender::Contender;
use place::Place;
use report::Report;

const HELP: &str = "bench [--rounds N] [--only TEXT] [--krun FILE] [--peer FILE]… [--json FILE] [--svg FILE]
  --rounds N   samples of each contender and scenario (default 64)
  --only TEXT  only scenarios whose name contains it
  --krun FILE  the krun to measure (default: the one beside this program)
  --peer FILE  one more runtime; those on PATH are found anyway
  --json FILE  medians, quartiles, ratios and every sample
  --svg FILE   a chart";

/// What the command line asks for.
struct Options {
    rounds: usize,
    only: String,
    krun: PathBuf,
    peers: Vec<PathBuf>,
    json: Option<PathBuf>,
    svg: Option<PathBuf>,
}

fn main() -> ExitCode {
    match options().and_then(|options| bench(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, String> {
    let beside = contender::beside("krun");
    let mut options =
        Options { rounds: 64, only: String::new(), krun: beside, peers: Vec::new(), json: None, svg: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        if word == "--help" {
            return Err(HELP.to_owned());
        }
        let value = words.next().ok_or_else(|| format!("{word} needs a value\n{HELP}"))?;
        match word.as_str() {
            "--rounds" => options.rounds = value.parse().map_err(|e| format!("--rounds {value}: {e}"))?,
            "--only" => options.only = value,
            "--krun" => options.krun = value.into(),
            "--peer" => options.peers.push(value.into()),
            "--json" => options.json = Some(value.into()),
            "--svg" => options.svg = Some(value.into()),
            _ => return Err(format!("{word}: unknown option\n{HELP}")),
        }
    }
    Ok(options)
}

fn bench(options: &Options) -> Result<(), String> {
    let place = Place::make()?;
    let contenders = contender::find(&options.krun, &options.peers, &place)?;
    let mut report = Report::new(&contenders, options.rounds);
    report.print_head();
    let measured = run_all(options, &place, &contenders, &mut report);
    for contender in &contenders {
        contender.clean_up();
    }
    measured?;
    report.print_verdicts();
    if let Some(path) = &options.json {
        report.write_json(path).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    if let Some(path) = &options.svg {
        std::fs::write(path, chart::svg(&report)).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    if report.complete() { Ok(()) } else { Err("some scenarios could not be measured, see above".to_owned()) }
}

fn run_all(
    options: &Options,
    place: &Place,
    contenders: &[Contender],
    report: &mut Report,
) -> Result<(), String> {
    let wanted = |name: &str| name.contains(&options.only);
    for scenario in scenario::all().iter().filter(|scenario| wanted(scenario.name)) {
        place.prepare(scenario.mounts)?;
        let mut row = report::Row::new(scenario.name, scenario.what);
        let runs: Vec<_> = contenders
            .iter()
            .filter_map(|contender| {
                let steps = scenario.steps(contender, place)?;
                Some((contender, steps))
            })
            .collect();
        // Nobody can, if the machine has no profile of an engine: the row says so.
        let rounds = if runs.is_empty() { 0 } else { options.rounds };
        for round in 0..rounds {
            report::progress(scenario.name, round, options.rounds);
            for i in order(round, runs.len()) {
                let (contender, steps) = &runs[i];
                row.add(&contender.name, sample::take(steps));
            }
        }
        report.add(row);
    }
    Ok(())
}

/// The order of a round: over 2 `count` rounds each follows every other one equally often (a Latin square after
/// Williams, and its mirror image).
fn order(round: usize, count: usize) -> Vec<usize> {
    let zigzag = (0..count).map(|i| if i % 2 == 0 { i / 2 } else { count - 1 - i / 2 });
    let mut order: Vec<usize> = zigzag.map(|i| (i + round) % count).collect();
    if round / count.max(1) % 2 == 1 {
        order.reverse();
    }
    order
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn everyone_follows_everyone_equally_often() {
        for count in 1..6 {
            let mut follows = vec![vec![0; count]; count];
            for round in 0..2 * count {
                let order = order(round, count);
                order.windows(2).for_each(|pair| follows[pair[0]][pair[1]] += 1);
            }
            for (i, row) in follows.iter().enumerate() {
                assert!(row.iter().enumerate().all(|(j, &n)| n == if i == j { 0 } else { 2 }), "{follows:?}");
            }
        }
    }
}
