//! Which conversation somebody writes in next: a few take most of what is said, after Zipf.

use crate::random::Random;

/// Places 0, 1, 2 …, each drawn with a weight of its own.
#[derive(Debug, Clone)]
pub struct Weighted {
    /// What all places up to each weigh together.
    up_to: Vec<f64>,
}

impl Weighted {
    /// Places with these ranks (from 0): each weighs one by its rank, counted from 1.
    pub fn by_rank(ranks: impl IntoIterator<Item = usize>) -> Weighted {
        let mut sum = 0.0;
        let up_to = ranks.into_iter().map(|rank| {
            sum += 1.0 / (rank + 1) as f64;
            sum
        });
        Weighted { up_to: up_to.collect() }
    }

    /// Draws a place; `None` where there is none.
    pub fn draw(&self, random: &mut Random) -> Option<usize> {
        let all = *self.up_to.last()?;
        let even = (random.bits() >> 11) as f64 / (1u64 << 53) as f64;
        let place = self.up_to.partition_point(|&sum| sum <= even * all);
        Some(place.min(self.up_to.len() - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_drawn_twice_as_often_as_the_second_and_ten_times_as_often_as_the_tenth() {
        let (weighted, mut random) = (Weighted::by_rank(0..100), Random::new(7));
        let mut drawn = [0u32; 100];
        for _ in 0..200_000 {
            drawn[weighted.draw(&mut random).expect("there are places")] += 1;
        }
        let times = |place: usize| f64::from(drawn[0]) / f64::from(drawn[place]);
        assert!((1.9..2.1).contains(&times(1)), "{}", times(1));
        assert!((9.0..11.0).contains(&times(9)), "{}", times(9));
        assert!(drawn.iter().all(|&count| count > 0));
    }

    #[test]
    fn ranks_need_not_be_in_a_row() {
        let (weighted, mut random) = (Weighted::by_rank([0, 99]), Random::new(7));
        let seconds = (0..101_000).filter(|_| weighted.draw(&mut random) == Some(1)).count();
        assert!((800..1_200).contains(&seconds), "{seconds}");
    }

    #[test]
    fn nothing_is_drawn_from_nothing() {
        assert_eq!(Weighted::by_rank([]).draw(&mut Random::new(1)), None);
    }
}
