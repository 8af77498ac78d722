"use strict";
const tip = document.getElementById("tip");
function light(trial, on) {
  if (trial) document.querySelectorAll(`[data-trial="${trial}"]`).forEach((mark) => mark.classList.toggle("hot", on));
}
function place(event) {
  const room = tip.getBoundingClientRect();
  tip.style.left = Math.max(6, Math.min(event.clientX + 14, innerWidth - room.width - 6)) + "px";
  tip.style.top = (event.clientY + room.height + 24 > innerHeight ? event.clientY - room.height - 12
                                                                 : event.clientY + 16) + "px";
}
let shown = null;
function show(event) {
  const mark = event.target.closest("[data-tip], [data-trial]");
  if (shown && shown !== mark) { light(shown.dataset.trial, false); tip.hidden = true; }
  shown = mark;
  if (!mark) return;
  light(mark.dataset.trial, true);
  if (mark.dataset.tip) { tip.textContent = mark.dataset.tip; tip.hidden = false; place(event); }
}
document.addEventListener("pointerover", show);
document.addEventListener("pointerdown", show);
document.addEventListener("pointermove", (event) => { if (!tip.hidden) place(event); });
document.addEventListener("click", (event) => {
  const text = event.target.dataset.copy;
  if (text === undefined) return;
  const done = () => { event.target.textContent = "copied"; setTimeout(() => { event.target.textContent = "copy"; }, 1500); };
  if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, () => {});
});
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
