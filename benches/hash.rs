//! Fingerprints of frames, in bytes of pixels per second.
//!
//! `cargo bench --bench hash` prints a line for each size, with and without padded rows. The goal is 8 GB/s: a frame of
//! 640x360 then takes 0.04 ms, which is negligible next to the smallest network.

mod pictures;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gstupscale::picture::format::PictureRef;
use gstupscale::reuse::Fingerprinter;
use gstupscale::types::Size;

use pictures::{FORMAT, PADDING, planes};

const SIZES: [Size; 2] = [Size { width: 640, height: 360 }, Size { width: 1920, height: 1080 }];
fn hash(criterion: &mut Criterion) {
    let fingerprinter = Fingerprinter::random();
    for size in SIZES {
        let mut group = criterion.benchmark_group(format!("{} {}x{}", FORMAT.name(), size.width, size.height));
        let visible = |plane| {
            let (row_bytes, rows) = FORMAT.visible(plane, size);
            row_bytes * rows
        };
        let bytes: usize = (0..FORMAT.planes()).map(visible).sum();
        group.throughput(Throughput::Bytes(bytes as u64));
        for (name, padding) in [("tight", 0), ("padded", PADDING)] {
            let planes = planes(size, padding);
            let planes: Vec<_> = planes.iter().map(|(bytes, stride)| (bytes.as_slice(), *stride)).collect();
            let picture = PictureRef::new(FORMAT, size, &planes).expect("the planes were made for the format and size");
            group.bench_function(name, |bench| bench.iter(|| fingerprinter.fingerprint(&picture)));
        }
        group.finish();
    }
}

criterion_group!(benches, hash);
criterion_main!(benches);
