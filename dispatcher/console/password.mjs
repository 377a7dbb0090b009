// Changing one's own password: a dialog that asks for the old one and twice for the new one.

import { element } from "./words.mjs";

const SHORTEST = 12;
const FIELDS = [
  ["old", "原密码", "current-password"],
  ["new", `新密码（至少 ${SHORTEST} 个字符）`, "new-password"],
  ["again", "再输一次新密码", "new-password"],
];

function field([name, zh, autocomplete]) {
  const input = element("input", "");
  Object.assign(input, { id: `password-${name}`, name, type: "password", required: true, maxLength: 256, autocomplete });
  const label = element("label", "", zh);
  label.htmlFor = input.id;
  return [label, input];
}

/** What is wrong before anything is sent; null for nothing. */
function lacking({ new: fresh, again }) {
  if ([...fresh].length < SHORTEST) return `新密码至少 ${SHORTEST} 个字符`;
  return fresh === again ? null : "两次输入的新密码不一致";
}

async function send(given) {
  try {
    const answer = await fetch("api/password", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ old: given.old, new: given.new }),
    });
    if (answer.ok) return null;
    if (answer.status === 401) return "登录已失效，请重新登录";
    return (await answer.json()).detail ?? answer.statusText;
  } catch {
    return "服务器没有应答，请稍后再试";
  }
}

/** Ask, change, and say that it is done. `login` is for the browser's store of passwords. */
export function askForPassword(login, name) {
  const dialog = element("dialog", "sign-in password");
  const fault = element("p", "fault");
  fault.setAttribute("role", "alert");
  fault.hidden = true;
  const whose = element("input", "");
  Object.assign(whose, { type: "text", name: "login", autocomplete: "username", value: login, hidden: true });
  const [go, stop] = [element("button", "", "修改密码"), element("button", "stop", "取消")];
  stop.type = "button";
  const form = element("form", "", whose, ...FIELDS.flatMap(field), go, stop);
  const title = element("h2", "", `修改密码（${name}）`);
  title.id = "password-title";
  dialog.setAttribute("aria-labelledby", title.id);
  dialog.append(title, fault, form, element("p", "hint", "修改后，其他已登录的浏览器须重新登录。"));
  const tell = (message) => {
    fault.hidden = !message;
    fault.textContent = message ?? "";
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(form));
    tell(lacking(given));
    if (!fault.hidden) return;
    go.disabled = true;
    const wrong = await send(given);
    go.disabled = false;
    if (wrong) tell(wrong);
    else done(dialog, title);
  });
  stop.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove()); // with what was typed
  document.body.append(dialog);
  dialog.showModal();
  form.elements.old.focus();
}

function done(dialog, title) {
  const close = element("button", "", "知道了");
  close.type = "button";
  close.addEventListener("click", () => dialog.close());
  const told = element("p", "", "密码已修改。其他浏览器的登录已失效，本页可继续使用。");
  told.setAttribute("role", "status");
  dialog.replaceChildren(title, told, close);
  close.focus();
}
