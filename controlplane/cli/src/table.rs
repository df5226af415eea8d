//! Columns for eyes: aligned, one space of air more than needed, no lines.

/// A cell longer than this is cut: the whole of it is in `-o json`.
const CELL_CHARS_MAX: usize = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

#[derive(Debug)]
pub(crate) struct Table {
    heads: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new() -> Table {
        Table { heads: Vec::new(), rows: Vec::new() }
    }

    pub(crate) fn column(mut self, head: &str, align: Align) -> Table {
        self.heads.push((head.to_uppercase(), align));
        self
    }

    pub(crate) fn columns(self, heads: &[&str]) -> Table {
        heads.iter().fold(self, |table, head| table.column(head, Align::Left))
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| shown(&cell)).collect());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn render(&self) -> String {
        let widths: Vec<usize> = self.heads.iter().enumerate().map(|(at, (head, _))| self.width(at, head)).collect();
        let heads: Vec<&str> = self.heads.iter().map(|(head, _)| head.as_str()).collect();
        let mut text = self.line(&heads, &widths);
        for row in &self.rows {
            let cells: Vec<&str> = row.iter().map(String::as_str).collect();
            text.push_str(&self.line(&cells, &widths));
        }
        text
    }

    fn width(&self, at: usize, head: &str) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(at));
        cells.map(|cell| cell.chars().count()).chain([head.chars().count()]).max().unwrap_or_default()
    }

    fn line(&self, cells: &[&str], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, width), (_, align)) in cells.iter().zip(widths).zip(&self.heads) {
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            let (before, after) = match align {
                Align::Left => ("", padding.as_str()),
                Align::Right => (padding.as_str(), ""),
            };
            line.push_str(before);
            line.push_str(cell);
            line.push_str(after);
            line.push_str("  ");
        }
        let mut line = line.trim_end().to_owned();
        line.push('\n');
        line
    }
}

/// One line without anything in it that a terminal would obey.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn shown(cell: &str) -> String {
    if cell.is_empty() {
        return "-".to_owned();
    }
    let cell = plain(cell);
    if cell.chars().count() <= CELL_CHARS_MAX {
        return cell;
    }
    cell.chars().take(CELL_CHARS_MAX.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_numbers_stand_right() {
        let mut table = Table::new().columns(&["name"]).column("requests", Align::Right).columns(&["note"]);
        table.row(["a".into(), "7".into(), String::new()]);
        table.row(["größer".into(), "12345678901".into(), "x".into()]);
        let expected = "\
NAME       REQUESTS  NOTE
a                 7  -
größer  12345678901  x
";
        assert_eq!(table.render(), expected);
    }

    #[test]
    fn a_cell_is_one_short_line_that_no_terminal_obeys() {
        let mut table = Table::new().columns(&["description"]);
        table.row(["\x1b[31mred\nalert".into()]);
        table.row(["x".repeat(100)]);
        let text = table.render();
        assert_eq!(text.lines().nth(1), Some(" [31mred alert"));
        assert_eq!(text.lines().nth(2).map(|line| line.chars().count()), Some(CELL_CHARS_MAX));
        assert!(text.ends_with("…\n"));
    }

    #[test]
    fn an_empty_table_has_a_head_only() {
        let table = Table::new().columns(&["name", "id"]);
        assert!(table.is_empty());
        assert_eq!(table.render(), "NAME  ID\n");
    }
}
