//! What people say: real short messages where there are any, else generated ones of the same shape.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use anyhow::Context as _;
use flate2::read::GzDecoder;

use crate::random::Random;

/// How many messages are generated, and by how many senders: as in the corpus.
const GENERATED: (usize, usize) = (65_000, 922);

/// One message of the corpus.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its sender, as a small number.
    pub sender: usize,
    /// What it says.
    pub text: String,
}

/// Messages to send, and where they are from.
#[derive(Debug, Clone)]
pub struct Corpus {
    /// In the order of the file.
    pub lines: Vec<Line>,
    /// For the printed line: `NUS SMS corpus` or `generated`.
    pub source: String,
}

impl Corpus {
    /// Reads the file named by `ANSER_CORPUS`; generates where there is none.
    ///
    /// # Errors
    /// A file is named and cannot be read.
    pub fn load(seed: u64) -> anyhow::Result<Corpus> {
        match std::env::var_os("ANSER_CORPUS").map(PathBuf::from) {
            Some(path) => read(&path).with_context(|| format!("ANSER_CORPUS names {}", path.display())),
            None => Ok(generate(seed)),
        }
    }
}

fn read(path: &std::path::Path) -> anyhow::Result<Corpus> {
    let mut senders = std::collections::HashMap::new();
    let mut lines = Vec::new();
    for line in BufReader::new(GzDecoder::new(File::open(path)?)).lines() {
        let line = line?;
        let mut fields = line.splitn(3, '\t');
        let (Some(_language), Some(sender), Some(text)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        // A message of nothing is refused, as it should be.
        if text.trim().is_empty() {
            continue;
        }
        let next = senders.len();
        let sender = *senders.entry(sender.to_owned()).or_insert(next);
        lines.push(Line { sender, text: text.to_owned() });
    }
    anyhow::ensure!(!lines.is_empty(), "it holds no line of the form language<TAB>sender<TAB>text");
    Ok(Corpus { lines, source: "NUS SMS corpus 2015-03-09".to_owned() })
}

/// Messages with the corpus's lengths (bytes: p50 34, p90 103, p99 231, max 910), half of them Chinese.
fn generate(seed: u64) -> Corpus {
    let mut random = Random::new(seed ^ 0xC0_4B05);
    let (count, senders) = GENERATED;
    let lines = (0..count).map(|_| {
        // A few people say most: the minimum of three draws.
        let sender = (0..3).map(|_| random.below(senders)).min().unwrap_or_default();
        let bytes = match random.below(100) {
            0..50 => random.between(3, 34),
            50..90 => random.between(35, 103),
            90..99 => random.between(104, 231),
            _ => random.between(232, 910),
        };
        let text = if random.percent(50) { chinese(&mut random, bytes) } else { english(&mut random, bytes) };
        Line { sender, text }
    });
    Corpus { lines: lines.collect(), source: "generated".to_owned() }
}

fn chinese(random: &mut Random, bytes: usize) -> String {
    let letters = "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行学法所民得经十三之进着等部度家电力里如水化高自二理起小物现实加量都两体制机当使点从业本去把性好应开它合还因由其些然前外天政四日那社义事平形相全表间样与关各重新线内数正心反你明看原又么利比或但质气第向道命此变条只没结解问意建月公无系军很情者最立代想已通并提直题党程展五果料象员革位入常文总次品式活设及管特件长求老头基资边流路级少图山统接知较将组见计别她手角期根论运农指几九区强放决西被干做必战先回则任取据处队南给色光门即保治北造百规热领七海口东导器压志世金增争济阶油思术极交受联什认六共权收证改清己美再采转更单风切打白教速花带安场身车例真务具万每目至达走积示议声报斗完类八离华名确才科张信马节话米整空元况今集温传土许步群广石记需段研界拉林律叫且究观越织装影算低持音众书布复容儿须际商非验连断深难近矿千周委素技备半办青省列习响约支般史感劳便团往酸历市克何除消构府称太准精值号率族维划选标写存候毛亲快效斯院查江型眼王按格养易置派层片始却专状育厂京识适属圆包火住调满县局照参红细引听该铁价严";
    let letters = letters.chars().collect::<Vec<_>>();
    (0..bytes.div_ceil(3).max(1)).map(|_| letters[random.below(letters.len())]).collect()
}

fn english(random: &mut Random, bytes: usize) -> String {
    const WORDS: [&str; 24] = [
        "ok", "haha", "when", "are", "you", "coming", "later", "dinner", "the", "bus", "is", "so", "slow",
        "see", "ya", "tomorrow", "lol", "sorry", "cannot", "make", "it", "home", "already", "😀",
    ];
    let mut text = String::new();
    while text.len() < bytes {
        text.push_str(WORDS[random.below(WORDS.len())]);
        text.push(' ');
    }
    text.trim_end().to_owned()
}
