//! Call stacks as a flame graph with the outermost function at the top. The width of a function is its
//! samples.

use std::{collections::BTreeMap, fmt::Write as _};

use super::text::escape;
use crate::frame::{Context, Frame, SampledStack};

/// Width of the drawing, in SVG units.
const WIDTH: f64 = 1060.0;
const ROW: f64 = 17.0;
/// Narrower functions are left out because nobody could see them.
const NARROWEST: f64 = 0.7;
/// Approximate width of a character.
const CHARACTER: f64 = 6.6;

/// A function, called by the one above it.
#[derive(Default)]
struct Node {
    samples: u64,
    callees: BTreeMap<String, Node>,
}

/// Empty if no stacks were recorded. `whole` is the recording as one frame.
pub(super) fn section(whole: &Frame) -> String {
    let root = Node::of(whole.stacks.iter().flatten());
    if root.samples == 0 {
        return String::new();
    }
    let mut drawing = String::new();
    let unit = WIDTH / root.samples as f64;
    let mut rows = 0;
    root.draw_callees(&mut drawing, (0.0, 0), unit, root.samples, &mut rows);
    let height = f64::from(rows) * ROW;
    format!(
        "<h2>Call stacks of network code</h2>\n<p>{} samples. The width of a function shows the samples \
         in it and in the functions it called, which are below it. Interrupts are separate from the threads \
         they interrupted; stacks under (softirq) start with the function that ran the softirq. Hover over a \
         function for its numbers.</p>\n<div class=\"wide\">\
         <svg class=\"flame\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"Call stacks of network code\">\n{drawing}</svg></div>\n",
        root.samples
    )
}

/// Most functions drawn of one stack. The kernel keeps no more (`PERF_MAX_STACK_DEPTH`), but a file may
/// contain more.
const DEEPEST: usize = 127;

impl Node {
    /// The root of all stacks.
    fn of<'a>(stacks: impl Iterator<Item = &'a SampledStack>) -> Self {
        let mut root = Self::default();
        for stack in stacks {
            // In parentheses, because a thread may be called `softirq`.
            let context = format!("({})", stack.context.label());
            let below = match (stack.context, stack.comm.as_deref()) {
                (Context::Task, Some(comm)) => comm,
                _ => &context,
            };
            root.samples = root.samples.saturating_add(stack.samples);
            let mut node = &mut root;
            let functions = stack.functions.iter().map(String::as_str).take(DEEPEST);
            for name in std::iter::once(below).chain(functions) {
                node = node.callees.entry(name.to_owned()).or_default();
                node.samples = node.samples.saturating_add(stack.samples);
            }
        }
        root
    }

    /// Draws the functions that this one called, starting at `at` (x, row).
    fn draw_callees(&self, drawing: &mut String, at: (f64, u32), unit: f64, all: u64, rows: &mut u32) {
        let (mut x, row) = at;
        // Siblings are in the order of their names, so graphs of two recordings can be compared.
        for (name, node) in &self.callees {
            let width = node.samples as f64 * unit;
            if width >= NARROWEST {
                *rows = (*rows).max(row + 1);
                node.draw(drawing, name, (x, row), width, all);
                node.draw_callees(drawing, (x, row + 1), unit, all, rows);
            }
            x += width;
        }
    }

    fn draw(&self, drawing: &mut String, name: &str, (x, row): (f64, u32), width: f64, all: u64) {
        let y = f64::from(row) * ROW;
        let pct = 100.0 * self.samples as f64 / all as f64;
        // The shade depends on the name alone and separates neighbours.
        let shade = name.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % 3;
        // Writing to a String cannot fail.
        let _ = write!(
            drawing,
            "<g><title>{}: {} samples, {pct:.1} %</title><rect class=\"f{shade}\" x=\"{x:.1}\" y=\"{y:.0}\" \
             width=\"{width:.1}\" height=\"{:.0}\"/>",
            escape(name),
            self.samples,
            ROW - 1.0
        );
        let fit = ((width - 6.0) / CHARACTER).max(0.0);
        if fit >= 3.0 {
            let shown: String =
                name.chars().zip(1_u32..).filter(|(_, at)| f64::from(*at) <= fit).map(|(c, _)| c).collect();
            let text = if shown.len() < name.len() { format!("{shown}…") } else { shown };
            let _ =
                write!(drawing, "<text x=\"{:.1}\" y=\"{:.0}\">{}</text>", x + 3.0, y + 12.0, escape(&text));
        }
        drawing.push_str("</g>\n");
    }
}
