//! The table on the terminal, the JSON file, and whether the promises hold.
#![allow(clippy::print_stdout)]

use std::io::{IsTerminal, Write};
use std::path::Path;

use runtime_tests::{Value, json, raw};

use super::contender::Contender;
use super::sample::{Sample, Spread};

/// Scenario, of whom at most which fraction krun may need, in wall and CPU.
const PROMISES: [(&str, &str, f64); 10] = [
    ("run", "crun", 0.50),
    ("run", "floor", 1.25),
    ("run seccomp", "crun", 0.45),
    ("run, 1000 mounts", "crun", 0.55),
    ("create+start+delete", "crun", 0.40),
    ("exec", "crun", 0.40),
    ("state", "crun", 0.35),
    ("kill", "crun", 0.35),
    ("list", "crun", 0.40),
    ("run, 1000 mounts", "floor", 1.25),
];

/// All that was measured.
#[derive(Debug)]
pub struct Report {
    /// Contenders by name, with their versions.
    pub contenders: Vec<(String, String)>,
    /// One per scenario.
    pub rows: Vec<Row>,
    rounds: usize,
}

/// What a scenario cost each contender.
#[derive(Debug)]
pub struct Row {
    /// The scenario.
    pub name: &'static str,
    what: &'static str,
    samples: Vec<(String, Vec<Option<Sample>>)>,
}

impl Row {
    /// An empty row.
    pub fn new(name: &'static str, what: &'static str) -> Row {
        Row { name, what, samples: Vec::new() }
    }

    /// Adds a sample, or that the command failed.
    pub fn add(&mut self, contender: &str, sample: Option<Sample>) {
        match self.samples.iter_mut().find(|(name, _)| name == contender) {
            Some((_, all)) => all.push(sample),
            None => self.samples.push((contender.to_owned(), vec![sample])),
        }
    }

    fn good(&self, contender: &str) -> Option<Vec<Sample>> {
        let (_, all) = self.samples.iter().find(|(name, _)| name == contender)?;
        all.iter().copied().collect()
    }

    /// Median and quartiles of a quantity; `None` if it failed or was not measured.
    pub fn spread(&self, contender: &str, of: fn(&Sample) -> f64) -> Option<Spread> {
        Spread::of(self.good(contender)?.iter().map(of).collect())
    }

    fn failed(&self, contender: &str) -> bool {
        self.samples.iter().any(|(name, all)| name == contender && all.iter().any(Option::is_none))
    }
}

/// Shows how far a scenario is, on a terminal only.
pub fn progress(name: &str, round: usize, rounds: usize) {
    if std::io::stdout().is_terminal() {
        print!("\r\x1b[K{name}: round {} of {rounds}", round + 1);
        let _ = std::io::stdout().flush();
    }
}

impl Report {
    /// Nothing measured yet.
    pub fn new(contenders: &[Contender], rounds: usize) -> Report {
        let contenders = contenders.iter().map(|c| (c.name.clone(), c.version.clone())).collect();
        Report { contenders, rows: Vec::new(), rounds }
    }

    /// Who is compared, where, and the head of the table.
    pub fn print_head(&self) {
        let [_, _, release, machine, _] = raw::uname();
        println!("{machine}, {} processors, {}, Linux {release}", processors(), processor());
        for (name, version) in &self.contenders {
            println!("  {name}: {version}");
        }
        println!("medians of {} interleaved rounds; milliseconds (and quartiles), KiB", self.rounds);
        println!(
            "{:<20} {:<6} {:>8} {:>15} {:>7} {:>15} {:>6} {:>10} {:>10}",
            "", "", "wall", "", "cpu", "", "peak", "wall/krun", "cpu/krun"
        );
    }

    /// Takes a row and prints it.
    pub fn add(&mut self, row: Row) {
        if std::io::stdout().is_terminal() {
            print!("\r\x1b[K");
        }
        println!("{} ({})", row.name, row.what);
        if row.samples.is_empty() {
            println!("{:<20} not measured: what it needs is not on this machine", "");
        }
        let krun = |of| row.spread("krun", of).map(|s: Spread| s.median);
        let (wall0, cpu0) = (krun(|s| s.wall), krun(|s| s.cpu));
        for (name, _) in &self.contenders {
            let found =
                (row.spread(name, |s| s.wall), row.spread(name, |s| s.cpu), row.spread(name, |s| s.peak));
            let (Some(wall), Some(cpu), Some(peak)) = found else {
                if row.failed(name) {
                    println!("{:<20} {name:<6} failed", "");
                }
                continue;
            };
            let ms = |s: Spread| format!("{:8.2}", s.median / 1e6);
            let range = |s: Spread| format!("({:.2}–{:.2})", s.low / 1e6, s.high / 1e6);
            let times =
                |mine: f64, base: Option<f64>| base.map_or(String::new(), |b| format!("{:.2}", mine / b));
            println!(
                "{:<20} {name:<6} {} {:>15} {} {:>15} {:>6.0} {:>10} {:>10}",
                "",
                ms(wall),
                range(wall),
                ms(cpu),
                range(cpu),
                peak.median,
                times(wall.median, wall0),
                times(cpu.median, cpu0),
            );
        }
        self.rows.push(row);
    }

    /// Says which promises hold.
    pub fn print_verdicts(&self) {
        println!("promises (krun's median over the other's)");
        for verdict in self.verdicts() {
            println!("  {}", verdict["text"].as_str().unwrap_or_default());
        }
    }

    fn verdicts(&self) -> Vec<Value> {
        PROMISES.iter().filter_map(|promise| self.verdict(promise)).collect()
    }

    fn verdict(&self, &(scenario, other, most): &(&str, &str, f64)) -> Option<Value> {
        let row = self.rows.iter().find(|row| row.name == scenario)?;
        let ratio =
            |of: fn(&Sample) -> f64| Some(row.spread("krun", of)?.median / row.spread(other, of)?.median);
        let (wall, cpu) = (ratio(|s| s.wall)?, ratio(|s| s.cpu)?);
        let holds = wall <= most && cpu <= most;
        let word = if holds { "holds" } else { "MISSED" };
        let text =
            format!("{word:<6} {scenario}: wall {wall:.2}, cpu {cpu:.2} of {other}, at most {most:.2}");
        Some(
            json!({"scenario": scenario, "other": other, "most": most, "wall": wall, "cpu": cpu, "holds": holds, "text": text}),
        )
    }

    /// Whether krun could be measured everywhere.
    pub fn complete(&self) -> bool {
        self.rows.iter().all(|row| row.good("krun").is_some())
    }

    /// Writes all of it, every sample included.
    pub fn write_json(&self, path: &Path) -> std::io::Result<()> {
        let [_, _, release, machine, _] = raw::uname();
        let rows: Vec<Value> = self.rows.iter().map(|row| self.row_json(row)).collect();
        let value = json!({
            "machine": {"arch": machine, "kernel": release, "processor": processor(), "processors": processors()},
            "contenders": self.contenders.iter().map(|(n, v)| json!({"name": n, "version": v})).collect::<Vec<_>>(),
            "rounds": self.rounds,
            "units": {"wall": "ms", "cpu": "ms (user+system, children included)", "peak": "KiB (largest process)"},
            "scenarios": rows,
            "promises": self.verdicts(),
        });
        std::fs::write(path, format!("{value:#}\n"))
    }

    fn row_json(&self, row: &Row) -> Value {
        let mut results = json!({});
        for (name, _) in &self.contenders {
            let found =
                (row.spread(name, |s| s.wall), row.spread(name, |s| s.cpu), row.spread(name, |s| s.peak));
            if let (Some(wall), Some(cpu), Some(peak)) = found {
                let samples: Vec<Value> = row
                    .good(name)
                    .unwrap_or_default()
                    .iter()
                    .map(|s| json!([s.wall / 1e6, s.cpu / 1e6, s.peak]))
                    .collect();
                results[name.as_str()] = json!({"wall": wall.json(1e6), "cpu": cpu.json(1e6), "peak": peak.json(1.0), "samples": samples});
            } else if row.failed(name) {
                results[name.as_str()] = json!({"failed": true});
            }
        }
        json!({"name": row.name, "what": row.what, "results": results})
    }
}

/// How many processors there are.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// What the processor calls itself.
pub fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    name.trim_start_matches([' ', '\t', ':']).to_owned()
}
