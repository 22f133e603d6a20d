//! The table of faults, see the head of faults.txt.

/// One fault.
#[derive(Debug, Default)]
pub struct Fault {
    /// What is broken.
    pub name: String,
    /// The test that must fail.
    pub test: String,
    /// The changes that make it.
    pub edits: Vec<Edit>,
}

/// A change of one text in one file.
#[derive(Debug, Default, Clone)]
pub struct Edit {
    /// Relative to the top of the tree.
    pub file: String,
    /// Occurs once.
    pub old: String,
    /// Takes its place.
    pub new: String,
}

/// Reads the table.
pub fn parse(text: &str) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("@ ") {
            faults.push(Fault { name: name.to_owned(), ..Fault::default() });
            continue;
        }
        let Some(fault) = faults.last_mut() else { continue };
        if let Some(test) = line.strip_prefix("test ") {
            test.clone_into(&mut fault.test);
        } else if let Some(file) = line.strip_prefix("file ") {
            fault.edits.push(Edit { file: file.to_owned(), ..Edit::default() });
        } else if let Some(edit) = fault.edits.last_mut() {
            // Both texts end with the line's end, so that a line can vanish whole.
            if let Some(old) = line.strip_prefix("- ") {
                edit.old.push_str(&format!("{old}\n"));
            } else if let Some(new) = line.strip_prefix("+ ") {
                edit.new.push_str(&format!("{new}\n"));
            }
        }
    }
    faults
}
