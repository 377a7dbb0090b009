// The sign-in page: a password, or the way to the identity provider.

const $ = (selector) => document.querySelector(selector);
const form = $("#form");

function fault(message) {
  $("#fault").hidden = !message;
  $("#fault").textContent = message ?? "";
}

async function signIn() {
  const button = form.querySelector("button");
  button.disabled = true;
  fault(null);
  try {
    const answer = await fetch("api/signin", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ login: form.login.value, password: form.password.value }),
    });
    if (answer.ok) {
      location.replace("./");
      return;
    }
    fault((await answer.json()).detail ?? answer.statusText);
  } catch {
    fault("服务器没有应答，请稍后再试。");
  }
  button.disabled = false;
  form.password.value = "";
  form.password.focus();
}

async function start() {
  if (new URLSearchParams(location.search).get("fault") === "provider") {
    fault("统一身份认证未通过：账户可能未开通街巡的角色或辖区，请联系管理员。");
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    signIn();
  });
  try {
    const ways = await (await fetch("api/signin")).json();
    form.hidden = !ways.password;
    $("#provider").hidden = !ways.provider;
    $("#provider a").textContent = ways.provider ?? "";
    if (!ways.password && !ways.provider) location.replace("./"); // nobody has to sign in here
    else if (ways.password) form.login.focus();
  } catch {
    fault("服务器没有应答，请稍后再试。");
  }
}

start();
