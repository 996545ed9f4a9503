//! Checks the results of the analysis against ONNX Runtime.

use crate::model::graph::{Local, Locality, ReceptiveField};
use crate::model::{Model, ModelInfo, Upscaler};
use crate::types::Size;

/// A picture of uniform noise in 0..1.
fn noise(channels: usize, size: Size, mut seed: u32) -> Vec<f32> {
    (0..channels * pixels(size))
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / 16_777_216.0
        })
        .collect()
}

fn pixels(size: Size) -> usize {
    size.width as usize * size.height as usize
}

fn local(info: &ModelInfo) -> Local {
    match &info.locality {
        Locality::Local(local) => *local,
        Locality::Global { reason } => panic!("{} is not local: {reason}", info.name),
    }
}

fn run(session: &mut dyn Upscaler, input: &[f32], size: Size) -> Vec<f32> {
    let mut output = Vec::new();
    session.run(input, size, &mut output).unwrap_or_else(|error| panic!("{size:?}: {error}"));
    output
}

/// Changes single pixels of a random picture and checks which results change. Returns the observed receptive field.
///
/// Each list of `places` is one run; its places must be far enough apart that their effects do not overlap. Uses small
/// and large changes: after many layers, small ones vanish in rounding and large ones in the flat part of an
/// activation.
pub(super) fn perturb(model: &dyn Model, size: Size, places: &[Vec<(u32, u32)>]) -> ReceptiveField {
    let info = model.info();
    let field = local(info).receptive_field;
    let channels = info.channels.count();
    let mut session = model.open_session().unwrap();
    let input = noise(channels, size, 1);
    let before = run(&mut *session, &input, size);
    let mut seen = ReceptiveField::default();
    for places in places {
        for change in [0.3, 30.0, -1000.0] {
            let mut input = input.clone();
            for (x, y) in places {
                for plane in input.chunks_exact_mut(pixels(size)) {
                    plane[(y * size.width + x) as usize] += change;
                }
            }
            let after = run(&mut *session, &input, size);
            for (x, y) in changed(&before, &after, size, info.scale) {
                let within = |from: u32, to: u32, before: u32, behind: u32| from <= to + before && to <= from + behind;
                // A pixel that sees to its right changes when a pixel to its right does.
                let by = places.iter().find(|(px, py)| {
                    within(x, *px, field.left, field.right) && within(y, *py, field.top, field.bottom)
                });
                let Some((px, py)) = by else {
                    panic!("{}: {field:?} does not hold: ({x}, {y}) changed by {places:?}", info.name)
                };
                seen.left = seen.left.max(x.saturating_sub(*px));
                seen.right = seen.right.max(px.saturating_sub(x));
                seen.top = seen.top.max(y.saturating_sub(*py));
                seen.bottom = seen.bottom.max(py.saturating_sub(y));
            }
        }
    }
    seen
}

/// The input pixels whose results differ, even by one bit.
fn changed(before: &[f32], after: &[f32], size: Size, scale: u32) -> Vec<(u32, u32)> {
    let width = size.width * scale;
    let plane = pixels(size) as u32 * scale * scale;
    let pairs = (0u32..).zip(before.iter().zip(after));
    let mut places: Vec<(u32, u32)> = pairs
        .filter(|(_, (before, after))| before.to_bits() != after.to_bits())
        .map(|(at, _)| (at % plane % width / scale, at % plane / width / scale))
        .collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// Places near the corners, at the edges and in the middle, one per run.
pub(super) fn everywhere(size: Size) -> Vec<Vec<(u32, u32)>> {
    let Size { width, height } = size;
    let mut places = Vec::new();
    for x in [0, 1, 2, 4, 8, width / 2, width - 9, width - 5, width - 2, width - 1] {
        for y in [0, 1, 4, 8, height / 2, height / 2 + 1, height - 9, height - 5, height - 3, height - 1] {
            places.push(vec![(x, y)]);
        }
    }
    places
}

/// Fewer places, for large networks: near the edges, in the middle and at random, one per run.
pub(super) fn here_and_there(size: Size) -> Vec<Vec<(u32, u32)>> {
    let Size { width, height } = size;
    let mut places =
        vec![(5, 3), (0, 0), (1, height - 2), (width - 2, 1), (width - 1, height - 1), (width / 2, height / 2)];
    let random = noise(1, Size { width: 2, height: 4 }, 3);
    let place = |fraction: f32, length: u32| (fraction * length as f32) as u32;
    places.extend(random.chunks_exact(2).map(|at| (place(at[0], width), place(at[1], height))));
    places.into_iter().map(|place| vec![place]).collect()
}

/// Asserts that the observed receptive field equals the derived one, up to `slack` pixels on each side.
pub(super) fn assert_tight(name: &str, derived: ReceptiveField, seen: ReceptiveField, slack: u32) {
    let tight = |derived: u32, seen: u32| seen <= derived && derived <= seen + slack;
    assert!(
        tight(derived.left, seen.left)
            && tight(derived.right, seen.right)
            && tight(derived.top, seen.top)
            && tight(derived.bottom, seen.bottom),
        "{name}: derived {derived:?}, seen {seen:?}"
    );
}

/// Asserts that parts of a picture, computed separately, are bit-identical to the whole.
pub(super) fn assert_parts_like_whole(model: &dyn Model, size: Size) {
    let info = model.info();
    let Local { receptive_field: field, alignment, least, exact } = local(info);
    let channels = info.channels.count();
    let mut session = model.open_session().unwrap();
    let input = noise(channels, size, 2);
    let whole = run(&mut *session, &input, size);
    let columns = spans(size.width, [field.left, field.right], alignment.width, least.width);
    let rows = spans(size.height, [field.top, field.bottom], alignment.height, least.height);
    assert!(columns.len() > 3 && rows.len() > 3, "{}: {size:?} is too small", info.name);
    for row in &rows {
        for column in &columns {
            let part = Size { width: column.read[1] - column.read[0], height: row.read[1] - row.read[0] };
            let values: Vec<f32> = input
                .chunks_exact(pixels(size))
                .flat_map(|plane| {
                    (row.read[0]..row.read[1]).flat_map(move |y| {
                        let line = (y * size.width) as usize;
                        &plane[line + column.read[0] as usize..line + column.read[1] as usize]
                    })
                })
                .copied()
                .collect();
            let result = run(&mut *session, &values, part);
            let different = kept(&result, part, (row, column), info.scale)
                .zip(kept(
                    &whole,
                    size,
                    (&Span { read: [0, size.height], ..*row }, &Span { read: [0, size.width], ..*column }),
                    info.scale,
                ))
                .any(
                    |(part, whole)| if exact { part.to_bits() != whole.to_bits() } else { (part - whole).abs() > 1e-5 },
                );
            assert!(!different, "{}: rows {row:?}, columns {column:?} of {size:?} differ", info.name);
        }
    }
}

/// Ranges `[begin, end]` along one direction: the pixels to read, and those whose result is kept.
#[derive(Clone, Copy, Debug)]
struct Span {
    read: [u32; 2],
    keep: [u32; 2],
}

/// Parts at the edges and inside.
fn spans(length: u32, field: [u32; 2], alignment: u32, least: u32) -> Vec<Span> {
    let mut spans = Vec::new();
    for keep in
        [[0, 3], [0, length / 2], [5, 9], [length / 2, length / 2 + 1], [length - 7, length - 2], [length - 4, length]]
    {
        let begin = keep[0].saturating_sub(field[0]) / alignment * alignment;
        let end = (keep[1] + field[1]).max(begin + least).next_multiple_of(alignment).min(length);
        if end - begin < least {
            continue;
        }
        spans.push(Span { read: [begin, end], keep });
    }
    spans
}

/// The kept results of a part.
fn kept(values: &[f32], size: Size, (row, column): (&Span, &Span), scale: u32) -> impl Iterator<Item = f32> {
    let (row, column) = (*row, *column);
    let range = move |span: Span| (span.keep[0] - span.read[0]) * scale..(span.keep[1] - span.read[0]) * scale;
    let width = (size.width * scale) as usize;
    values.chunks_exact(pixels(size) * (scale * scale) as usize).flat_map(move |plane| {
        range(row).flat_map(move |y| range(column).map(move |x| plane[y as usize * width + x as usize]))
    })
}
