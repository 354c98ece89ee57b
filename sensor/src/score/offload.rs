//! A model's networks on the GPU: where there are rows enough, they are scored there, and large batches are learned from
//! there. What was learned is brought back at once, so that the CPU can go on at any time.

use std::collections::VecDeque;

use super::fused::Part;
use super::gpu::{Failure, Gpu, Handle, LEAST_ROWS};
use super::member::{Member, Method};
use super::model::Model;
use super::random::Random;
use crate::features::matrix::{Column, LANES, Matrix};
use std::sync::Arc;

/// The GPU, and what of the model is on it.
#[derive(Default)]
pub(super) struct Offload {
    gpu: Option<Arc<Gpu>>,
    /// Absent when it must be brought there (anew) first.
    ensemble: Option<Handle>,
}

impl Offload {
    pub(super) fn new(gpu: Option<Arc<Gpu>>) -> Offload {
        Offload { gpu, ensemble: None }
    }

    /// The networks changed: what is on the GPU is old.
    pub(super) fn changed(&mut self) {
        self.ensemble = None;
    }

    fn ready(&mut self) -> Option<Arc<Gpu>> {
        let gpu = self.gpu.as_ref().filter(|gpu| gpu.ready()).cloned();
        self.ensemble.take_if(|ensemble| !gpu.as_ref().is_some_and(|gpu| gpu.holds(ensemble)));
        gpu
    }
}

impl Model {
    /// Of each row what each network's mean of squares is, row by row; `None` where the CPU must say.
    pub(super) fn squares_on_gpu(&mut self, rows: &Matrix) -> Option<Vec<f32>> {
        if rows.rows() < LEAST_ROWS {
            return None;
        }
        let gpu = self.offload.ready()?;
        let squares = self.try_squares(&gpu, rows);
        if squares.is_err() {
            self.offload.changed();
        }
        squares.ok()
    }

    fn try_squares(&mut self, gpu: &Gpu, rows: &Matrix) -> Result<Vec<f32>, Failure> {
        let number = self.brought(gpu)?;
        let columns: Vec<usize> = self.networks().flat_map(|member| member.columns.iter().copied()).collect();
        let blocks: Vec<&[Column]> = rows.blocks().collect();
        let batch = (gpu.batch_rows() / LANES).max(1);
        let (mut squares, mut left) = (Vec::new(), rows.rows());
        // While one batch is computed the next is packed.
        let mut pending = VecDeque::new();
        for blocks in blocks.chunks(batch) {
            let count = left.min(blocks.len() * LANES);
            left -= count;
            let packed = pack(blocks, &columns, count);
            pending.push_back(gpu.begin(move |owner| owner.score(number, &packed))?);
            if pending.len() > 1
                && let Some(first) = pending.pop_front()
            {
                squares.extend(gpu.finish(first)?);
            }
        }
        for last in pending {
            squares.extend(gpu.finish(last)?);
        }
        Ok(squares)
    }

    /// Steps of training on the GPU; says whether they were done. If not, nothing was learned.
    pub(super) fn train_on_gpu(
        &mut self,
        steps: usize,
        (batch_rows, trim, rate): (usize, f64, f64),
        random: &mut Random,
    ) -> bool {
        if batch_rows < LEAST_ROWS || steps == 0 || !self.same_steps() {
            return false;
        }
        let Some(gpu) = self.offload.ready() else { return false };
        // The CPU would learn from the same batches.
        let before = *random;
        let done = self.try_train(&gpu, steps, (batch_rows, trim, rate), random);
        if done.is_err() {
            *random = before;
            self.offload.changed();
        }
        done.is_ok()
    }

    fn try_train(
        &mut self,
        gpu: &Gpu,
        steps: usize,
        (batch_rows, trim, rate): (usize, f64, f64),
        random: &mut Random,
    ) -> Result<(), Failure> {
        let number = self.brought(gpu)?;
        let columns: Vec<usize> = self.networks().flat_map(|member| member.columns.iter().copied()).collect();
        let width = self.features.len();
        for _ in 0..steps {
            let rows = self.set.batch(batch_rows, random);
            if rows.is_empty() {
                break;
            }
            let packed: Vec<f32> =
                rows.chunks_exact(width).flat_map(|row| columns.iter().map(|&place| row[place])).collect();
            gpu.run(move |owner| owner.train(number, &packed, trim, rate))?;
        }
        let mut learned = gpu.run(move |owner| owner.weights(number))?.into_iter();
        for member in &mut self.members {
            if let Method::Learned(network) = &mut member.method
                && let Some(weights) = learned.next()
            {
                network.take_up(&weights);
            }
        }
        Ok(())
    }

    /// Its networks and how their features are judged, for another device.
    pub fn ensemble(&self) -> Vec<Part> {
        self.networks().filter_map(|member| member.part(&self.deviation)).collect()
    }

    /// Whether all networks have the same number of steps behind them, as those do that always learned together.
    fn same_steps(&self) -> bool {
        let mut steps = self.networks().filter_map(Member::step);
        let first = steps.next();
        first.is_some() && steps.all(|step| Some(step) == first)
    }

    fn networks(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| matches!(member.method, Method::Learned(_)))
    }

    /// The ensemble's number on the GPU; brings it there if it is not.
    fn brought(&mut self, gpu: &Gpu) -> Result<u64, Failure> {
        if let Some(ensemble) = &self.offload.ensemble {
            return Ok(ensemble.number());
        }
        let parts = self.ensemble();
        let handle = gpu.run(move |owner| owner.load(&parts))?;
        Ok(self.offload.ensemble.insert(handle).number())
    }
}

/// The first `count` rows of blocks, row by row.
fn pack(blocks: &[&[Column]], columns: &[usize], count: usize) -> Vec<f32> {
    let mut packed = Vec::with_capacity(count * columns.len());
    for row in 0..count {
        let (block, lane) = (blocks[row / LANES], row % LANES);
        packed.extend(columns.iter().map(|&place| block[place][lane]));
    }
    packed
}
