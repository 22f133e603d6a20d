//! `krun list [--quiet] [--format table|json]`
use std::borrow::Cow;
use std::fmt::Write as _;

use krun::container::{ContainerError, Listed, list};
use krun::launch::Host;
use krun::log;
use krun::state::{Owners, View};

use super::{Format, Outcome, print};
use crate::cli::args::Parsed;

/// The columns of the table.
const TITLES: [&str; 6] = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];

pub fn run(host: &Host, parsed: &Parsed, root_given: bool) -> Outcome {
    let format = Format::read(parsed)?;
    let listed = match list(&host.root) {
        // The default root is made with the first container.
        Err(ContainerError::List { source, .. })
            if !root_given && source.kind() == std::io::ErrorKind::NotFound =>
        {
            Vec::new()
        }
        other => other?,
    };
    let quiet = parsed.switch("quiet")?;
    print(&if quiet { ids(&listed) } else { render(&listed, format)? })?;
    Ok(0)
}

fn ids(listed: &[Listed]) -> String {
    listed.iter().filter(|(_, result)| result.is_ok()).fold(String::new(), |mut text, (id, _)| {
        let _ = writeln!(text, "{id}");
        text
    })
}

fn render(listed: &[Listed], format: Format) -> Result<String, serde_json::Error> {
    let mut owners = Owners::default();
    let mut text = String::new();
    let mut rows = vec![TITLES.map(Cow::from)];
    for (id, result) in listed {
        let (head, status) = match result {
            Ok(found) => found,
            Err(error) => {
                log::warning(format_args!("load container {id}: {}", krun::chain(error)));
                continue;
            }
        };
        let owner = owners.name(head.owner_uid).to_owned();
        let view = View::new(head, *status, &owner);
        match format {
            Format::Json => {
                text.push(if text.is_empty() { '[' } else { ',' });
                text.push_str(&serde_json::to_string(&view)?);
            }
            Format::Table => rows.push([
                head.id.as_str().into(),
                view.pid.to_string().into(),
                status.as_str().into(),
                head.bundle.to_string_lossy(),
                head.created.as_str().into(),
                owner.into(),
            ]),
        }
    }
    Ok(match format {
        Format::Table => table(&rows),
        Format::Json if text.is_empty() => "null\n".to_owned(),
        Format::Json => text + "]\n",
    })
}

/// Columns at least 12 wide, three spaces apart, the last one as it is: what Go's tabwriter makes of them for runc.
fn table(rows: &[[Cow<'_, str>; 6]]) -> String {
    let mut widths = [0_usize; 6];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count() + 3).max(12);
        }
    }
    let mut text = String::new();
    for row in rows {
        for (column, (width, cell)) in widths.iter().zip(row).enumerate() {
            text.push_str(cell);
            if column + 1 < row.len() {
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
        let text = table(&[TITLES.map(Cow::from), row.map(Cow::from)]);
        let expected = "\
ID               PID         STATUS      BUNDLE      CREATED                OWNER\n\
a-container-id   7           running     /b          2026-01-01T00:00:00Z   root\n";
        assert_eq!(text, expected);
        assert_eq!(render(&[], Format::Json).ok().as_deref(), Some("null\n"));
        assert!(render(&[], Format::Table).is_ok_and(|text| text.starts_with("ID          PID")));
    }
}
