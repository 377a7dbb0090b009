// Who is signed in, and signing out. Whoever is not is sent to the sign-in page.

import { askForPassword } from "./password.mjs";
import { element } from "./words.mjs";

/** Leave for the sign-in page. */
export function leave() {
  location.replace("signin");
}

async function signOut(button) {
  button.disabled = true;
  try {
    await fetch("api/signout", { method: "POST" });
    leave();
  } catch {
    button.disabled = false; // still signed in: the server was not told
  }
}

/** Show who it is in the bar; nothing where nobody has to sign in. */
export function showMe(bar, me) {
  if (!me.signed_in) return;
  const where = me.areas === null ? "全部辖区" : me.areas.map((area) => area.path.split(" / ").at(-1)).join("、");
  const name = element("span", "", `${me.name} · ${me.role_zh} · ${where}`);
  name.title = `${me.name}（${me.role_zh}）：${me.areas?.map((area) => area.path).join("；") ?? "全部辖区"}`;
  const button = element("button", "", "退出");
  button.type = "button";
  button.addEventListener("click", () => signOut(button));
  const change = element("button", "change", element("b", "", "修改"), "密码"); // "密码" where there is little room
  change.type = "button";
  change.hidden = !me.password;
  change.addEventListener("click", () => askForPassword(me.id.replace(/^user:/, ""), me.name));
  const box = element("p", "me", name, change, button);
  box.id = "me";
  bar.querySelector("#link").before(box);
}

/** Whether the session is over: asked when the connection was refused. */
export async function signedOut() {
  const answer = await fetch("api/me").catch(() => null);
  return answer?.status === 401;
}
