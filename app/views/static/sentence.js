// One sentence from Python, put in as text.
const place = element.querySelector("p");
const show = () => {
  place.textContent = props.value ?? "";
  place.hidden = !place.textContent;
};
watch("value", show);
show();
