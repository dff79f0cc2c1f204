# syntax=docker/dockerfile:1
FROM node:21-alpine
WORKDIR /app
COPY package*.json /app
RUN npm ci --no-audit \
    # the cache is no use in a layer
    && npm cache clean --force
COPY . .
EXPOSE 3000
CMD ["npm", "run", "dev"]
