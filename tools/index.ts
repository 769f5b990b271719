export const tools = "see the folders beside this file";
