//! Puts what was measured into `docs/evaluation.md`, between the marks that say where it goes.

use std::fs;

use anyhow::{Context, Result};

use crate::program;

/// Replaces the part of the document called `part`.
pub fn write(part: &str, text: &str) -> Result<()> {
    let path = program::root().join("docs/evaluation.md");
    let old = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let new =
        replaced(&old, part, text).with_context(|| format!("{} has no marks for {part}", path.display()))?;
    fs::write(&path, new).with_context(|| format!("write {}", path.display()))?;
    println!("written: {} ({part})", path.display());
    Ok(())
}

fn replaced(old: &str, part: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {part}: begin -->\n"), format!("<!-- {part}: end -->"));
    let (before, rest) = old.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{}\n\n{end}{after}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let old = "a\n<!-- tables: begin -->\nold\n<!-- tables: end -->\nb\n";
        let new = replaced(old, "tables", "\nnew\n").unwrap();
        assert_eq!(new, "a\n<!-- tables: begin -->\n\nnew\n\n<!-- tables: end -->\nb\n");
        assert_eq!(replaced(&new, "tables", "new").unwrap(), new);
        assert!(replaced(old, "other", "new").is_none());
    }

    #[test]
    fn the_document_has_its_marks() {
        let text = std::fs::read_to_string(program::root().join("docs/evaluation.md")).unwrap();
        for part in ["tables", "ablation"] {
            assert!(replaced(&text, part, "x").is_some(), "{part}");
        }
    }
}
