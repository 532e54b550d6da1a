//! What the people of the demo have said to one another.

use std::collections::BTreeMap;

use anser_model::ConversationId;
use anser_proto::v1::{self, Target};
use anser_proto::wire;

use super::people::People;

/// Where something is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Room {
    Design,
    Books,
    Hike,
    /// Between these two.
    Two(&'static str, &'static str),
}

use Room::{Books, Design, Hike, Two};

/// Groups: title, owner, the others.
const GROUPS: [(Room, &str, &str, &[&str]); 3] = [
    (Design, "鸿雁 · 设计组", "zhou_yu", &["lin_xiao", "chen_mo", "maya", "tom", "aiko"]),
    (Books, "读书会 · 第十二期", "aiko", &["lin_xiao", "chen_mo", "wang_lu"]),
    (Hike, "Weekend hike 🥾", "tom", &["lin_xiao", "maya", "zhou_yu"]),
];

/// Something that somebody did.
enum Act {
    Say(Room, &'static str, &'static str),
    /// A reply to the last thing that this person said there.
    Reply(Room, &'static str, &'static str, &'static str),
    /// Takes back what was said last.
    Recall(Room, &'static str),
    /// Reads everything.
    Read(Room, &'static str),
    /// Makes somebody an admin.
    Promote(Room, &'static str, &'static str),
}

use Act::{Promote, Read, Recall, Reply, Say};

const WANG: Room = Two("wang_lu", "lin_xiao");
const MUM: Room = Two("mama", "lin_xiao");
const MAYA: Room = Two("maya", "lin_xiao");
const CHEN: Room = Two("chen_mo", "lin_xiao");
const ZHOU: Room = Two("zhou_yu", "lin_xiao");

const ACTS: &[Act] = &[
    Say(WANG, "wang_lu", "小林，下周物业要检修水管，周三上午家里方便留人吗？"),
    Say(WANG, "lin_xiao", "周三可以，我在家办公"),
    Say(WANG, "wang_lu", "好的，那我跟他们约十点 🙏"),
    Say(WANG, "lin_xiao", "好的，房租月底前转给您"),
    Read(WANG, "lin_xiao"),
    Read(WANG, "wang_lu"),
    Say(Hike, "tom", "Saturday looks dry. Who is in for the ridge trail?"),
    Say(Hike, "maya", "Me! I can drive, three seats left 🚗"),
    Read(Hike, "maya"),
    Say(Hike, "lin_xiao", "算我一个，我带热汤面"),
    Say(Hike, "zhou_yu", "我也去，几点集合？"),
    Say(Hike, "tom", "7:30 at the north gate. Bring layers, it was 3 °C up there last week 🥶"),
    Read(Hike, "lin_xiao"),
    Say(Books, "aiko", "第十二期读《长安的荔枝》，大家读到哪了？"),
    Say(Books, "wang_lu", "读完了！一个小吏的算术题，看得我手心出汗"),
    Say(Books, "chen_mo", "才到转运那章。“一骑红尘”背后全是表格，太真实了"),
    Say(Books, "aiko", "周五晚八点聊，题目：如果你是李善德，第一封信写给谁？"),
    Read(Books, "lin_xiao"),
    Reply(Books, "lin_xiao", "aiko", "写给管冰的人 🧊"),
    Say(Books, "wang_lu", "我写给岭南的驿丞，先问问马够不够"),
    Say(MUM, "mama", "天冷了，秋裤穿了没有？"),
    Read(MUM, "lin_xiao"),
    Say(MUM, "lin_xiao", "穿了穿了 😂"),
    Say(MUM, "mama", "周末包饺子，你爸擀皮。回来吃吗？🥟"),
    Say(MUM, "mama", "不回来也说一声，我少和点面"),
    Say(MAYA, "maya", "Hey! Did the fonts render on your side? Mine showed tofu boxes 😅"),
    Say(MAYA, "lin_xiao", "They do now: the fallback was missing Noto Sans SC"),
    Reply(MAYA, "maya", "lin_xiao", "That was it, thank you! 🇲🇽❤️🇨🇳"),
    Say(MAYA, "maya", "Sounds good — see you Tuesday then"),
    Read(MAYA, "lin_xiao"),
    Read(MAYA, "maya"),
    Say(CHEN, "chen_mo", "演示用第二版还是第三版？"),
    Say(CHEN, "lin_xiao", "第二版吧，第三版的动效还没压下来"),
    Say(CHEN, "chen_mo", "行，那就按第二版，我晚上把切图发你"),
    Read(CHEN, "lin_xiao"),
    Promote(Design, "zhou_yu", "lin_xiao"),
    Say(
        Design,
        "zhou_yu",
        "会话列表的行高我改成 64 了，紧凑模式 52。The compact one is for people who keep fifty chats open.",
    ),
    Say(Design, "maya", "Compact looks great on my 13″ screen 👌"),
    Reply(Design, "lin_xiao", "zhou_yu", "好看。深色下的对比度我量过，9.8:1"),
    Say(Design, "tom", "Can we keep the unread badge at the right edge? My eyes go there first."),
    Say(Design, "chen_mo", "同意 @Tom Becker，徽标靠右，时间在上、数字在下，两行各占一端"),
    Say(Design, "aiko", "等一下，我发错图了"),
    Recall(Design, "aiko"),
    Say(Design, "aiko", "日文界面也试了：「未読」两个字，放得下 👨‍👩‍👧"),
    Read(Design, "lin_xiao"),
    Say(Design, "maya", "Shipping the palette today: one accent, quiet paper. Not green, not blue 🎨"),
    Say(Design, "zhou_yu", "@林晓 看下最后一屏的间距，12 还是 8？"),
    Say(ZHOU, "zhou_yu", "晚上一起看下稿子？我七点以后都有空"),
    Say(ZHOU, "lin_xiao", "好，七点半，我叫上陈默"),
    Say(ZHOU, "zhou_yu", "👌"),
    Read(ZHOU, "lin_xiao"),
    Read(ZHOU, "zhou_yu"),
];

/// Says it all.
pub async fn play(people: &People) -> anyhow::Result<()> {
    let mut groups = BTreeMap::new();
    for (room, title, owner, others) in GROUPS {
        let others = others.iter().map(|handle| Ok(people.get(handle)?.account));
        let others = others.collect::<anyhow::Result<Vec<_>>>()?;
        let created = people.get(owner)?.client.create_group(title, &others, true).await?;
        groups.insert(room, wire::cid(&created.cid)?);
    }
    let mut stage = Stage { people, groups, said: BTreeMap::new() };
    for act in ACTS {
        stage.perform(act).await?;
    }
    Ok(())
}

struct Stage<'a> {
    people: &'a People,
    groups: BTreeMap<Room, ConversationId>,
    /// The seq of what somebody said last in a room, and of what was said last by anybody.
    said: BTreeMap<(Room, &'static str), u64>,
}

impl Stage<'_> {
    async fn perform(&mut self, act: &Act) -> anyhow::Result<()> {
        match *act {
            Say(room, who, text) => self.say(room, who, text, 0).await,
            Reply(room, who, to, text) => {
                let seq = self.last(room, to)?;
                self.say(room, who, text, seq).await
            }
            Recall(room, who) => {
                let cid = self.cid(room)?;
                self.people.get(who)?.client.recall(cid, self.last(room, who)?).await?;
                Ok(())
            }
            Read(room, who) => {
                let newest = self.said.iter().filter(|((of, _), _)| *of == room).map(|(_, &seq)| seq).max();
                let target = Target::cid(self.cid(room)?);
                self.people.get(who)?.client.read_up_to(target, newest.unwrap_or_default()).await?;
                Ok(())
            }
            Promote(room, who, whom) => {
                let whom = self.people.get(whom)?.account;
                let cid = self.cid(room)?;
                self.people.get(who)?.client.set_role(cid, whom, v1::Role::Admin).await?;
                Ok(())
            }
        }
    }

    async fn say(&mut self, room: Room, who: &'static str, text: &str, reply_to: u64) -> anyhow::Result<()> {
        let person = self.people.get(who)?;
        let to = match room {
            Two(one, other) => Target::peer(self.people.get(if one == who { other } else { one })?.account),
            _ => Target::cid(self.cid(room)?),
        };
        let mentions = self.people.named(text);
        let message = v1::Message { reply_to, mentions, ..v1::Message::text(text) };
        let accepted = person.client.send(to, message).await?;
        self.said.insert((room, who), accepted.seq);
        Ok(())
    }

    fn last(&self, room: Room, who: &'static str) -> anyhow::Result<u64> {
        let seq = self.said.get(&(room, who)).copied();
        seq.ok_or_else(|| anyhow::anyhow!("{who} has said nothing yet in {room:?}"))
    }

    fn cid(&self, room: Room) -> anyhow::Result<ConversationId> {
        match room {
            Two(one, other) => {
                Ok(ConversationId::direct(self.people.get(one)?.account, self.people.get(other)?.account))
            }
            _ => Ok(*self.groups.get(&room).ok_or_else(|| anyhow::anyhow!("there is no group {room:?}"))?),
        }
    }
}
