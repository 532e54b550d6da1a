//! Every text that the terminal client shows, in both languages.

/// The texts of one language.
pub struct Words {
    pub product: &'static str,
    pub search_hint: &'static str,
    pub you: &'static str,
    pub members: fn(u32) -> String,
    pub no_conversations: &'static str,
    pub choose: &'static str,
    pub no_messages: &'static str,
    pub loading: &'static str,
    pub new_messages: fn(u64) -> String,
    pub today: &'static str,
    pub yesterday: &'static str,
    pub offline: &'static str,
    pub not_member: &'static str,
    pub failed: fn(&str) -> String,
    pub recalled: &'static str,
    pub find: fn(&str) -> String,
    pub finding: fn(&str) -> String,
    pub not_found: fn(&str) -> String,
    pub unreachable: &'static str,
    pub too_many: &'static str,
    pub not_saved: fn(&str) -> String,
    pub switcher: &'static str,
    pub switcher_hint: &'static str,
    pub new_group: &'static str,
    pub group_title: &'static str,
    pub group_handles: &'static str,
    pub form_hint: &'static str,
    pub help: &'static str,
    pub help_hint: &'static str,
    pub somebody: &'static str,
    pub more_below: &'static str,
    pub notices: Notices,
    pub sign_in: SignIn,
    pub keys: Keys,
}

/// What happened in a conversation beside messages.
pub struct Notices {
    pub created: fn(&str) -> String,
    pub began: &'static str,
    pub recalled: fn(&str) -> String,
    pub added: fn(&str, &str) -> String,
    pub removed: fn(&str, &str) -> String,
    pub left: fn(&str) -> String,
    pub renamed: fn(&str, &str) -> String,
    pub role: fn(&str, &str) -> String,
    pub roles: [&'static str; 3],
    pub other: &'static str,
}

/// The form before there is a session.
pub struct SignIn {
    pub sign_in: &'static str,
    pub register: &'static str,
    pub server: &'static str,
    pub handle: &'static str,
    pub password: &'static str,
    pub name: &'static str,
    pub invitation: &'static str,
    pub to_register: &'static str,
    pub to_sign_in: &'static str,
    pub hint: &'static str,
    pub busy: &'static str,
    pub ended: fn(&str) -> String,
    pub fill: fn(&str) -> String,
}

/// What each key does: a few words for the last line, a sentence for the help.
pub struct Keys {
    pub send: &'static str,
    pub newline: &'static str,
    pub switch: &'static str,
    pub new_group: &'static str,
    pub next_unread: &'static str,
    pub previous: &'static str,
    pub next: &'static str,
    pub older: &'static str,
    pub newer: &'static str,
    pub bottom: &'static str,
    pub leave_input: &'static str,
    pub enter_input: &'static str,
    pub retry: &'static str,
    pub recall: &'static str,
    pub help: &'static str,
    pub quit: &'static str,
}

/// The language that the environment names: Chinese if it says so, else English.
pub fn from_environment() -> &'static Words {
    let named = ["LC_ALL", "LC_MESSAGES", "LANG"].map(|name| std::env::var(name).unwrap_or_default());
    chosen(named.iter().find(|value| !value.is_empty()).map_or("", String::as_str))
}

fn chosen(locale: &str) -> &'static Words {
    if locale.to_ascii_lowercase().starts_with("zh") { &ZH } else { &EN }
}

/// Chinese.
pub static ZH: Words = Words {
    product: "鸿雁",
    search_hint: "搜索 Ctrl+P",
    you: "你",
    members: |count| format!("{count} 人"),
    no_conversations: "还没有会话",
    choose: "按 Ctrl+P 找人，或用 ↑↓ 选一个会话",
    no_messages: "还没有消息，打个招呼吧",
    loading: "正在载入…",
    new_messages: |count| format!("{count} 条新消息"),
    today: "今天",
    yesterday: "昨天",
    offline: "连接断开，正在重连。写下的消息会在恢复后发出",
    not_member: "你已不在这个群里",
    failed: |why| format!("未发出: {why}"),
    recalled: "[已撤回]",
    find: |handle| format!("查找用户 @{handle}"),
    finding: |handle| format!("正在查找 @{handle}…"),
    not_found: |handle| format!("没有用户名为 {handle} 的人，请核对后再试"),
    unreachable: "现在连不上服务器，请稍后再试",
    too_many: "等待中的请求太多，请稍后再试",
    not_saved: |why| format!("无法保存到磁盘: {why}"),
    switcher: "打开会话",
    switcher_hint: "输入会话名或用户名 · ↑↓ 选择 · Enter 打开 · Esc 关闭",
    new_group: "新建群聊",
    group_title: "群名",
    group_handles: "成员",
    form_hint: "成员填用户名，用空格隔开 · Tab 换行 · Enter 创建 · Esc 关闭",
    help: "按键",
    help_hint: "Esc 关闭",
    somebody: "某人",
    more_below: "下面有更新的消息",
    notices: Notices {
        created: |who| format!("{who}创建了群聊"),
        began: "会话从这里开始",
        recalled: |who| format!("{who}的一条消息已撤回"),
        added: |who, whom| format!("{who}邀请{whom}加入"),
        removed: |who, whom| format!("{who}将{whom}移出"),
        left: |who| format!("{who}退出了群聊"),
        renamed: |who, title| format!("{who}将群名改为「{title}」"),
        role: |whom, role| format!("{whom}成为{role}"),
        roles: ["普通成员", "管理员", "群主"],
        other: "发生了一件这个版本还不认识的事",
    },
    sign_in: SignIn {
        sign_in: "登录",
        register: "注册",
        server: "服务器",
        handle: "用户名",
        password: "密码",
        name: "显示名",
        invitation: "邀请码",
        to_register: "Ctrl+T 没有账号？注册一个",
        to_sign_in: "Ctrl+T 已有账号？登录",
        hint: "Tab 下一项 · Enter 确认 · Ctrl+C 退出",
        busy: "请稍候…",
        ended: |why| format!("已退出登录: {why}"),
        fill: |field| format!("请填写{field}"),
    },
    keys: Keys {
        send: "发送",
        newline: "换行",
        switch: "找人、找会话",
        new_group: "新建群聊",
        next_unread: "下一未读",
        previous: "上一会话",
        next: "下一会话",
        older: "历史",
        newer: "较新的消息",
        bottom: "回到最新",
        leave_input: "离开输入框",
        enter_input: "回到输入框",
        retry: "重发失败的消息",
        recall: "撤回自己最新的消息",
        help: "全部按键",
        quit: "退出",
    },
};

/// English.
pub static EN: Words = Words {
    product: "Anser",
    search_hint: "Find Ctrl+P",
    you: "You",
    members: |count| format!("{count} members"),
    no_conversations: "No conversations yet",
    choose: "Ctrl+P finds people, ↑↓ choose a conversation",
    no_messages: "No messages yet: say hello",
    loading: "Loading…",
    new_messages: |count| {
        if count == 1 { "1 new message".to_owned() } else { format!("{count} new messages") }
    },
    today: "Today",
    yesterday: "Yesterday",
    offline: "Offline, reconnecting. What you write is sent when it is back",
    not_member: "You are no longer in this group",
    failed: |why| format!("not sent: {why}"),
    recalled: "[recalled]",
    find: |handle| format!("Find the person @{handle}"),
    finding: |handle| format!("Looking for @{handle}…"),
    not_found: |handle| format!("Nobody has the handle {handle}: check it and try again"),
    unreachable: "The server cannot be reached now: try again later",
    too_many: "Too much is waiting already: try again later",
    not_saved: |why| format!("Cannot save to disk: {why}"),
    switcher: "Open a conversation",
    switcher_hint: "Title or exact handle · ↑↓ choose · Enter opens · Esc closes",
    new_group: "New group",
    group_title: "Title",
    group_handles: "Members",
    form_hint: "Members: handles, with spaces · Tab next · Enter makes it · Esc closes",
    help: "Keys",
    help_hint: "Esc closes",
    somebody: "Somebody",
    more_below: "newer messages below",
    notices: Notices {
        created: |who| format!("{who} made the group"),
        began: "The conversation begins here",
        recalled: |who| format!("{who}: a message was recalled"),
        added: |who, whom| format!("{who} added {whom}"),
        removed: |who, whom| format!("{who} removed {whom}"),
        left: |who| format!("{who} left"),
        renamed: |who, title| format!("{who} named it “{title}”"),
        role: |whom, role| format!("{whom} is {role} now"),
        roles: ["a member", "an admin", "the owner"],
        other: "Something that this version does not know",
    },
    sign_in: SignIn {
        sign_in: "Sign in",
        register: "Register",
        server: "Server",
        handle: "Handle",
        password: "Password",
        name: "Name",
        invitation: "Invitation",
        to_register: "Ctrl+T No account? Register",
        to_sign_in: "Ctrl+T Have an account? Sign in",
        hint: "Tab next field · Enter confirms · Ctrl+C quits",
        busy: "One moment…",
        ended: |why| format!("Signed out: {why}"),
        fill: |field| format!("Please fill in: {field}"),
    },
    keys: Keys {
        send: "send",
        newline: "new line",
        switch: "find",
        new_group: "new group",
        next_unread: "next unread",
        previous: "previous conversation",
        next: "next conversation",
        older: "history",
        newer: "newer messages",
        bottom: "to the newest",
        leave_input: "leave the input",
        enter_input: "back to the input",
        retry: "retry failed messages",
        recall: "recall your newest message",
        help: "all keys",
        quit: "quit",
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_chooses() {
        assert_eq!(chosen("zh_CN.UTF-8").product, "鸿雁");
        assert_eq!(chosen("de_DE.UTF-8").product, "Anser");
        assert_eq!(chosen("").product, "Anser");
    }
}
