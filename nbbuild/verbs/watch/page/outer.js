"use strict";
// Follows the state that the server sends, and loads a frame again once what it shows has changed.
(() => {
  const element = (id) => document.getElementById(id);
  const said = element("said");
  const error = element("error");
  const tasks = element("tasks");
  const report = element("report");
  const notebook = element("notebook");
  const name = element("name");

  let state = { tasks: [], report: 0 };
  let chosen = ""; // by the reader
  let shown = ""; // the task in the frame, and the stamp of its notebook
  let stamp = "";
  let reported = -1;
  let place = 0; // how far down the notebook was read

  const last = () => {
    // The notebook that ran last; if none has, the one that is shown. A stamp is a time.
    const there = state.tasks.filter((one) => one.stamp);
    const ran = there.filter((one) => one.state === "executed" || one.state === "failed");
    ran.sort((one, other) => (BigInt(one.stamp) < BigInt(other.stamp) ? 1 : -1));
    return (ran[0] ?? there.find((one) => one.task === shown) ?? there[0])?.task ?? "";
  };

  const show = (task) => {
    const one = state.tasks.find((other) => other.task === task);
    if (!one || !one.stamp || (shown === task && stamp === one.stamp)) {
      return;
    }
    place = shown === task ? (notebook.contentWindow?.scrollY ?? 0) : 0;
    shown = task;
    stamp = one.stamp;
    name.textContent = task;
    // "replace": a build is no step in the browser's history.
    notebook.contentWindow.location.replace(`notebook/${encodeURIComponent(task)}?${stamp}`);
  };

  notebook.addEventListener("load", () => {
    if (place) {
      notebook.contentWindow?.scrollTo(0, place);
    }
  });

  const list = () => {
    const rows = state.tasks.map((one) => {
      const row = document.createElement("li");
      const button = document.createElement("button");
      const badge = document.createElement("span");
      button.type = "button";
      button.textContent = one.task;
      button.disabled = !one.stamp;
      button.setAttribute("aria-pressed", String(one.task === shown));
      button.dataset.task = one.task;
      badge.textContent = one.where ? `${one.state}: ${one.where}` : one.state;
      badge.className = one.state;
      row.append(button, " ", badge);
      return row;
    });
    const focused = document.activeElement?.dataset.task;
    tasks.replaceChildren(...rows);
    if (focused !== undefined) {
      [...tasks.querySelectorAll("button")].find((one) => one.dataset.task === focused)?.focus();
    }
  };

  const draw = () => {
    said.textContent = state.said;
    said.className = state.building ? "building" : "";
    error.textContent = state.error;
    error.hidden = !state.error;
    if (reported !== state.report) {
      reported = state.report;
      report.contentWindow.location.replace(`report?${reported}`);
    }
    if (!state.tasks.some((one) => one.task === chosen)) {
      chosen = "";
    }
    if (chosen || !state.building) {
      show(chosen || last());
    }
    list();
  };

  tasks.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) {
      chosen = button.dataset.task;
      draw();
    }
  });

  const events = new EventSource("events");
  events.addEventListener("message", (event) => {
    state = JSON.parse(event.data);
    draw();
  });
  events.addEventListener("error", () => {
    said.textContent = "nbbuild watch has ended, or cannot be reached";
    said.className = "gone";
  });
})();
