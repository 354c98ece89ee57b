//! Which rows of a batch teach: those that fit worst teach nothing (least trimmed squares, Rousseeuw 1984).

/// The highest loss of a row that still teaches, where a part `trim` of the rows does not.
pub(super) fn worst(losses: &[f32], sorted: &mut Vec<f32>, trim: f64) -> f32 {
    let leave = (losses.len() as f64 * trim) as usize;
    if leave == 0 {
        return f32::INFINITY;
    }
    sorted.clear();
    sorted.extend_from_slice(losses);
    let (_, &mut worst, _) = sorted.select_nth_unstable_by(losses.len() - leave - 1, f32::total_cmp);
    worst
}
