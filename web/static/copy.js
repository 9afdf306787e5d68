// Gives every `data-copy` a button that copies its text; without this script a click on the text selects all of it.

const SHOWN_FOR = 2000;

for (const source of document.querySelectorAll("[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    button.textContent = (await copy(source)) ? "Copied" : "Press Ctrl+C";
    setTimeout(() => { button.textContent = "Copy"; }, SHOWN_FOR);
  });
  source.after(button);
}

async function copy(source) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    return true;
  } catch {
    // Over plain http from another machine there is no clipboard: select, and let the older command try.
    getSelection().selectAllChildren(source);
    return document.execCommand("copy");
  }
}
