//! `krun list [--quiet] [--format table|json]`
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use krun::container::{ContainerError, Listed, list};
use krun::launch::Host;
use krun::log;
use krun::state::{Head, Owners, Status, View};

use super::{Format, Outcome, print, print_json};
use crate::cli::args::Parsed;

/// The columns of the table.
const TITLES: [&str; 6] = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];

pub fn run(host: &Host, parsed: &Parsed, root_given: bool) -> Outcome {
    let format = Format::read(parsed)?;
    let root = Root { host, given: root_given };
    if parsed.switch("quiet")? {
        print(&ids(&root.list(|_, _| ())?))?;
    } else {
        match format {
            Format::Table => print(&table(&root.loaded(|view| Row::of(&view))?))?,
            Format::Json => print_json(&json(root.loaded(|view| serde_json::to_string(&view))?)?)?,
        }
    }
    Ok(0)
}

/// The state root, and whether it was named on the command line.
struct Root<'a> {
    host: &'a Host,
    given: bool,
}

impl Root<'_> {
    fn list<T: Send>(
        &self,
        show: impl Fn(&Head, Status) -> T + Sync,
    ) -> Result<Vec<Listed<T>>, ContainerError> {
        match list(&self.host.root, show) {
            // The default root is made with the first container.
            Err(ContainerError::List { source, .. })
                if !self.given && source.kind() == std::io::ErrorKind::NotFound =>
            {
                Ok(Vec::new())
            }
            other => other,
        }
    }

    /// What `show` makes of the containers that can be loaded.
    fn loaded<T: Send>(&self, show: impl Fn(View<'_>) -> T + Sync) -> Result<Vec<T>, ContainerError> {
        let owners = Mutex::new(Owners::default());
        let listed = self.list(|head, status| {
            let owner = owners.lock().unwrap_or_else(PoisonError::into_inner).name(head.owner_uid).to_owned();
            show(View::new(head, status, &owner))
        })?;
        let loaded = listed.into_iter().filter_map(|(id, result)| {
            let warn = |error: &ContainerError| {
                log::warning(format_args!("load container {id}: {}", krun::chain(error)));
            };
            result.inspect_err(warn).ok()
        });
        Ok(loaded.collect())
    }
}

fn ids(listed: &[Listed<()>]) -> String {
    listed.iter().filter(|(_, result)| result.is_ok()).fold(String::new(), |mut text, (id, _)| {
        let _ = writeln!(text, "{id}");
        text
    })
}

fn json(views: Vec<serde_json::Result<String>>) -> serde_json::Result<String> {
    let views = views.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(if views.is_empty() { "null\n".to_owned() } else { format!("[{}]\n", views.join(",")) })
}

/// The cells of a row, one behind the other.
struct Row {
    text: String,
    ends: [usize; 6],
}

impl Row {
    fn new(cells: [&str; 6]) -> Self {
        let mut end = 0;
        let ends = cells.map(|cell| {
            end += cell.len();
            end
        });
        Self { text: cells.concat(), ends }
    }

    fn of(view: &View<'_>) -> Self {
        let (pid, bundle) = (view.pid.to_string(), view.bundle.to_string_lossy());
        Self::new([view.id, &pid, view.status.as_str(), &bundle, view.created, view.owner])
    }

    fn cells(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let cell = self.text.get(start..end).unwrap_or_default();
            start = end;
            cell
        })
    }
}

/// Columns at least 12 wide, three spaces apart, the last one as it is: what Go's tabwriter makes of them for runc.
fn table(rows: &[Row]) -> String {
    let titles = Row::new(TITLES);
    let rows = || std::iter::once(&titles).chain(rows);
    let mut widths = [12_usize; 6];
    for row in rows() {
        for (width, cell) in widths.iter_mut().zip(row.cells()) {
            *width = (*width).max(cell.chars().count() + 3);
        }
    }
    let mut text = String::new();
    for row in rows() {
        for (column, (width, cell)) in widths.iter().zip(row.cells()).enumerate() {
            text.push_str(cell);
            if column + 1 < widths.len() {
                text.extend(std::iter::repeat_n(' ', width - cell.chars().count()));
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_looks_like_runcs() {
        let row = ["a-container-id", "7", "running", "/b", "2026-01-01T00:00:00Z", "root"];
        let text = table(&[Row::new(row)]);
        let expected = "\
ID               PID         STATUS      BUNDLE      CREATED                OWNER\n\
a-container-id   7           running     /b          2026-01-01T00:00:00Z   root\n";
        assert_eq!(text, expected);
        assert_eq!(json(Vec::new()).ok().as_deref(), Some("null\n"));
        assert_eq!(json(vec![Ok("{}".into()), Ok("1".into())]).ok().as_deref(), Some("[{},1]\n"));
        assert!(table(&[]).starts_with("ID          PID"));
    }
}
