//! How well a few typed letters fit a name: all of them in order, best together and at beginnings.

/// Points for a letter that stands right behind the one before, and for one that begins a word.
const TOGETHER: i32 = 8;
const BEGINS: i32 = 6;

/// The better it fits, the more. None when it does not fit. Letters of both cases are the same.
pub fn score(query: &str, name: &str) -> Option<i32> {
    let query: Vec<char> =
        query.chars().flat_map(char::to_lowercase).filter(|c| !c.is_whitespace()).collect();
    let name: Vec<char> = name.chars().flat_map(char::to_lowercase).collect();
    // A name may hold the first letter several times: where one begins decides how well it goes on.
    let starts = (0..name.len()).filter(|&at| query.first().is_some_and(|&first| name[at] == first));
    let best = starts.filter_map(|start| from(&query, &name, start)).max();
    if query.is_empty() { Some(0) } else { best }
}

fn from(query: &[char], name: &[char], start: usize) -> Option<i32> {
    let mut points = 0;
    let mut at = start;
    let mut before: Option<usize> = None;
    for &letter in query {
        at += name[at..].iter().position(|&c| c == letter)?;
        if before.is_some_and(|before| before + 1 == at) {
            points += TOGETHER;
        }
        if at == 0 || !name[at - 1].is_alphanumeric() {
            points += BEGINS;
        }
        before = Some(at);
        at += 1;
    }
    // Early and short is nearer to what was meant.
    points += BEGINS * i32::from(query.len() == name.len());
    Some(points - (start.min(10) as i32) - (name.len().min(40) as i32 / 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best<'a>(query: &str, names: &[&'a str]) -> Vec<&'a str> {
        let mut fitting: Vec<_> =
            names.iter().filter_map(|name| Some((score(query, name)?, *name))).collect();
        fitting.sort_by_key(|&(points, _)| std::cmp::Reverse(points));
        fitting.into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn letters_in_order_fit_and_the_nearest_comes_first() {
        assert_eq!(best("zy", &["lazy", "Zhou Yu", "maya"]), ["Zhou Yu", "lazy"]);
        assert_eq!(best("des", &["mid-east desk", "design", "decades"])[0], "design");
        assert_eq!(best("设组", &["鸿雁 · 设计组", "组设"]), ["鸿雁 · 设计组"]);
        assert_eq!(best("", &["a", "b"]), ["a", "b"]);
        assert_eq!(score("xyz", "maya"), None);
        assert_eq!(score("MAYA", "Maya"), score("maya", "maya"));
    }
}
