// What gr.HTML runs once for each place that the drawing surface is put: element, props, watch and
// trigger are Gradio's. FILES stands for the list that component.py puts there. Each file is loaded once
// a page, all at the same time, and run in their order.
// The events that Python may listen to: 'open_image' 'select_instance' 'open_sample' 'go_to' 'show_curves'
const files = FILES;

function once(tag, address, attributes) {
  const loaded = (globalThis.studioFiles ??= new Map());
  if (!loaded.has(address)) {
    const file = Object.assign(document.createElement(tag), attributes);
    loaded.set(
      address,
      new Promise((resolve, reject) => {
        file.onload = resolve;
        file.onerror = () => reject(new Error(address));
      }),
    );
    document.head.append(file);
  }
  return loaded.get(address);
}

const styles = files.styles.map((href) => once("link", href, { rel: "stylesheet", href }));
const scripts = files.scripts.map((src) => once("script", src, { src, async: false }));
Promise.all([...styles, ...scripts]).then(
  () => globalThis.studioParts.mount(element, { props, watch, trigger }),
  () => {
    element.textContent = "The drawing surface could not be loaded from the Studio's server: reload the page.";
  },
);
